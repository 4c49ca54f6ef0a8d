using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Instar.Interop;

/// <summary>Arguments from the slots, the user's delegate, the result to the slots.</summary>
internal unsafe delegate void HostThunk(Caller caller, ulong* slots);

/// <summary>A host function as native code sees it.</summary>
/// <remarks>
/// Native code holds a weak GCHandle and frees it when nothing can call the function any more. The managed side keeps the function: the
/// linker and the pres made from it share one list, and every call keeps its pre. So a delegate that refers to its
/// own pre or instance can still be collected.
/// </remarks>
internal sealed unsafe class HostFunction
{
    private readonly HostThunk _thunk;

    private HostFunction(HostThunk thunk) => _thunk = thunk;

    public static void Define(LinkerHandle linker, string module, string name, string signature, HostThunk thunk, List<HostFunction> keep)
    {
        HostFunction function = new(thunk);
        keep.Add(function);
        ulong context = (ulong)GCHandle.ToIntPtr(GCHandle.Alloc(function, GCHandleType.WeakTrackResurrection));
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* modulePtr = Utf8.Bytes(module, out ulong moduleLength))
        fixed (byte* namePtr = Utf8.Bytes(name, out ulong nameLength))
        fixed (byte* sigPtr = Utf8.Bytes(signature, out ulong sigLength))
        {
            status.Check(Native.linker_func(
                linker.Value, modulePtr, moduleLength, namePtr, nameLength, sigPtr, sigLength, &Invoke, context, &Release, &status));
        }

        GC.KeepAlive(linker);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static ulong Invoke(ulong context, ulong caller, ulong* slots, uint count)
    {
        try
        {
            // Null only if a finalizer calls into an instance whose linker and pre were forgotten together with it.
            HostFunction function = GCHandle.FromIntPtr((nint)context).Target as HostFunction
                ?? throw new InstarException(ErrorKind.StaleHandle, "the host function has been garbage-collected with its InstancePre");
            function._thunk(new Caller(caller), slots);
            return 0;
        }
        catch (Exception exception)
        {
            return NativeError.Send(exception);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Release(ulong context) => GCHandle.FromIntPtr((nint)context).Free();
}
