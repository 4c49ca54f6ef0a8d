using System.Runtime.CompilerServices;

// All native functions take and give primitives and pointers: nothing is marshalled.
[assembly: DisableRuntimeMarshalling]
// Slots and out variables are written before they are read.
[module: SkipLocalsInit]
