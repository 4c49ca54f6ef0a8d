using System.Runtime.CompilerServices;

namespace Instar.Interop;

/// <summary>How the methods that call native code on hot paths are compiled.</summary>
/// <remarks>
/// Native code is SSE code. If the upper halves of the vector registers are in use when it starts, it runs far slower: create + call +
/// drop took 440 ns instead of 190. The JIT clears them (vzeroupper) at the start of a method that calls native code, but not
/// after that method's own 256-bit instructions, which it takes for instance to clear or copy a struct of 32 bytes. So on a hot
/// path such a method has a frame of its own, and no locals or parameters of 32 bytes that it would clear or copy.
/// </remarks>
internal static class NativeCall
{
    public const MethodImplOptions OwnFrame = MethodImplOptions.NoInlining;
}
