using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Instar.Interop;

/// <summary>Owns one native handle. Freed by Dispose, or by the finalizer when its owner was forgotten.</summary>
/// <remarks>
/// Native handles carry a generation and are checked on each use: a freed one is a StaleHandle error, never undefined behaviour, and
/// freeing during another thread's call is fine. So no call counts references (DangerousAddRef); callers only keep the owner alive
/// until the call has returned.
/// </remarks>
internal abstract unsafe class NativeHandle : SafeHandle
{
    protected NativeHandle(ulong value)
        : base(0, ownsHandle: true) => SetHandle((nint)value);

    /// <summary>The number to pass to native code. Stale, but harmless, after Dispose.</summary>
    public ulong Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (ulong)handle;
    }

    public override bool IsInvalid => handle == 0;

    protected abstract void Free(ulong value, RustCallStatus* status);

    protected override bool ReleaseHandle()
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        Free((ulong)handle, &status);
        return true;
    }
}

internal sealed unsafe class EngineHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.engine_free(value, status);
}

internal sealed unsafe class ModuleHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.module_free(value, status);
}

internal sealed unsafe class LinkerHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.linker_free(value, status);
}

internal sealed unsafe class PreHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.pre_free(value, status);
}

internal sealed unsafe class FunctionHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.func_free(value, status);
}

internal sealed unsafe class BytesFunctionHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.bytes_func_free(value, status);
}

internal sealed unsafe class MemoryHandle(ulong value) : NativeHandle(value)
{
    protected override void Free(ulong value, RustCallStatus* status) => Native.memory_free(value, status);
}
