namespace Instar.Bench;

/// <summary>The cases over the <see cref="Stub"/>.</summary>
internal sealed unsafe class Peer
{
    private readonly ulong _pre, _add, _ask, _store, _echo, _memory, _cell, _id;

    public Peer(ulong pre)
    {
        _pre = pre;
        _add = Stub.Function(pre, "add"u8);
        _ask = Stub.Function(pre, "ask"u8);
        _store = Stub.Function(pre, "store"u8);
        _echo = Stub.BytesFunction(pre, "echo"u8);
        _memory = Stub.Memory(pre, "memory"u8);
        Stub.Status status;
        status.Code = 0;
        ulong cell, id;
        Stub.Check(Stub.pre_instantiate(pre, 0, &cell, &id, &status));
        (_cell, _id) = (cell, id);
    }

    public int Add()
    {
        Stub.Status status;
        status.Code = 0;
        ulong* slots = stackalloc ulong[2];
        slots[0] = 1;
        slots[1] = 2;
        Stub.Check(Stub.instance_call(_add, _cell, _id, slots, 2, &status));
        return (int)slots[0];
    }

    public int Ask()
    {
        Stub.Status status;
        status.Code = 0;
        ulong slot = 1;
        Stub.Check(Stub.instance_call(_ask, _cell, _id, &slot, 1, &status));
        return (int)slot;
    }

    public int FreshStore()
    {
        Stub.Status status;
        status.Code = 0;
        ulong slot = 7;
        Stub.Check(Stub.pre_call(_store, 0, &slot, 1, &status));
        return (int)slot;
    }

    public int CreateCallDrop()
    {
        Stub.Status status;
        status.Code = 0;
        ulong slot = 7, cell, id;
        Stub.Check(Stub.pre_instantiate(_pre, 0, &cell, &id, &status));
        Stub.Check(Stub.instance_call(_store, cell, id, &slot, 1, &status));
        Stub.Check(Stub.instance_close(_pre, cell, id, &status));
        return (int)slot;
    }

    public int Echo()
    {
        Stub.Status status;
        status.Code = 0;
        byte* input = stackalloc byte[100];
        byte* output = stackalloc byte[100];
        ulong pointer, length;
        Stub.Check(Stub.pre_call_bytes(_echo, 0, input, 100, output, 100, &pointer, &length, &status));
        return (int)length;
    }

    public int ReadMemory()
    {
        Stub.Status status;
        status.Code = 0;
        byte* output = stackalloc byte[16];
        Stub.Check(Stub.instance_memory_read(_memory, _cell, _id, 0, output, 16, &status));
        return output[3];
    }
}
