using System;
using System.Runtime.InteropServices;

namespace Instar.Interop;

/// <summary>The part of an instance that must outlive its owner: what to give back, and the data its host functions see.</summary>
/// <remarks>
/// An <see cref="Instance"/> itself has no finalizer, because an object with a finalizer costs some 30 ns more than one without.
/// The lease has one, and is used again and again: each thread keeps a spare. States: spare (in <c>t_spare</c>), rented (no
/// native instance, while a call of <see cref="InstancePre"/> runs or before Attach), attached (a native instance to give back).
/// Invariant: whoever rents a lease returns it once, after the native instance is closed, or drops it to the finalizer.
/// </remarks>
internal sealed unsafe class Lease
{
    [ThreadStatic]
    private static Lease? t_spare;

    // Weak: data may refer to its own instance, and such a circle must not keep itself alive through native code. While guest
    // code runs, the calling frame keeps the lease.
    private GCHandle _self;
    private object? _data;
    private ulong _pre;
    private ulong _cell;
    private ulong _id;

    private Lease() => _self = GCHandle.Alloc(this, GCHandleType.WeakTrackResurrection);

    ~Lease()
    {
        if (IsAttached)
        {
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            Native.instance_abandon(_pre, _cell, _id, &status);
            // Another finalizer may have brought the instance back to life, and native code closes it later: the handle
            // goes when nothing refers to the lease any more once again.
            IsAttached = false;
            GC.ReRegisterForFinalize(this);
            return;
        }

        _self.Free();
    }

    /// <summary>Whether there is a native instance to give back.</summary>
    public bool IsAttached { get; private set; }

    /// <summary>The lease as the opaque number that native code hands to host functions.</summary>
    public ulong Token => (ulong)GCHandle.ToIntPtr(_self);

    public static Lease Rent(object? data)
    {
        Lease lease = t_spare ?? new Lease();
        t_spare = null;
        lease._data = data;
        return lease;
    }

    /// <summary>The data of the instance with this token; null for token 0.</summary>
    public static object? DataOf(ulong token) =>
        token == 0 ? null : (GCHandle.FromIntPtr((nint)token).Target as Lease)?._data;

    public void Attach(ulong pre, ulong cell, ulong id)
    {
        _pre = pre;
        _cell = cell;
        _id = id;
        IsAttached = true;
    }

    public void Return()
    {
        IsAttached = false;
        _data = null;
        t_spare = this;
    }
}
