using System;
using System.Linq;
using System.Reflection;

namespace Instar.Tests.Conformance;

/// <summary>Calls exports as users do, by <c>GetFunction&lt;…&gt;</c> and <c>GetAction&lt;…&gt;</c>, with types known from the case only.</summary>
internal static class TypedCall
{
    /// <summary>Calls by delegate; null if C#'s delegates cannot have the type (several results, more than eight parameters).</summary>
    public static ulong[]? Invoke(object target, string name, FunctionType type, Value[] args, object? data)
    {
        if (type.Results.Count > 1 || args.Length > 8)
        {
            return null;
        }

        // For a text stands a type that the export does not take.
        Type[] parameters = args.Select((arg, i) => !arg.IsText ? arg.ClrType
            : i < type.Parameters.Count && type.Parameters[i] == ValueKind.I32 ? typeof(long) : typeof(int)).ToArray();
        Type[] generic = [.. parameters, .. type.Results.Select(kind => Value.ClrTypeOf(kind.ToString().ToLowerInvariant()))];
        string method = type.Results.Count == 1 ? "GetFunction" : "GetAction";
        object?[] arguments = target is InstancePre ? [name, data] : [name];
        MethodInfo getter = target.GetType().GetMethods().Single(candidate =>
            candidate.Name == method && candidate.GetGenericArguments().Length == generic.Length &&
            typeof(Delegate).IsAssignableFrom(candidate.ReturnType));
        if (generic.Length > 0)
        {
            getter = getter.MakeGenericMethod(generic);
        }

        object function = Plainly(getter, target, arguments)!;
        object? result = Plainly(function.GetType().GetMethod("Invoke")!, function, args.Select(arg => (object?)arg.Boxed).ToArray());
        return result is null ? [] : [Value.ToSlot(result)];
    }

    private static object? Plainly(MethodInfo method, object target, object?[] arguments) =>
        method.Invoke(target, BindingFlags.DoNotWrapExceptions, null, arguments, null);
}
