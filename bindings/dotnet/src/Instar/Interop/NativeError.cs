using System;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using System.Threading;

namespace Instar.Interop;

/// <summary>Turns native error handles into exceptions, and host exceptions into tokens that native code can carry.</summary>
internal static unsafe class NativeError
{
    // Tokens below are trap codes (see InstarHostFunction in instar_ffi.h).
    private const ulong FirstToken = 0x10000;

    // Exceptions on their way through guest frames. Each is taken out once, by the call that reports the error.
    private static readonly ConcurrentDictionary<ulong, ExceptionDispatchInfo> s_travelling = new();
    private static ulong s_lastToken = FirstToken - 1;

    /// <summary>Keeps a host function's exception until <see cref="Throw"/> finds its token in an error.</summary>
    public static ulong Send(Exception exception)
    {
        ulong token = Interlocked.Increment(ref s_lastToken);
        s_travelling[token] = ExceptionDispatchInfo.Capture(exception);
        return token;
    }

    /// <summary>Throws the error and frees its handle. A host function's exception is thrown as itself.</summary>
    [DoesNotReturn]
    public static void Throw(ulong error)
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        ulong token = Native.error_host_token(error, &status);
        uint trap = Native.error_trap(error, &status);
        uint kind = Native.error_kind(error, &status);
        string message = Utf8.Read((buffer, capacity) =>
        {
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            return Native.error_message(error, buffer, capacity, &status);
        });
        Native.error_free(error, &status);

        if (token != 0 && s_travelling.TryRemove(token, out ExceptionDispatchInfo? travelling))
        {
            travelling.Throw();
        }

        if (trap != 0)
        {
            throw new TrapException((TrapCode)trap, message);
        }

        throw new InstarException(kind == 0 ? ErrorKind.Bug : (ErrorKind)kind, message);
    }
}
