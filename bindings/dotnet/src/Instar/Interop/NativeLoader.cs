using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.IO;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Instar.Interop;

/// <summary>Finds the native library, and refuses one that does not fit.</summary>
internal static unsafe class NativeLoader
{
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "The resolver must be there before the first native call.")]
    internal static void Register() => NativeLibrary.SetDllImportResolver(typeof(NativeLoader).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        if (name != Native.Library)
        {
            return 0;
        }

        nint library = Load(assembly, searchPath);
        Check(library);
        return library;
    }

    private static nint Load(Assembly assembly, DllImportSearchPath? searchPath)
    {
        // An application that got Instar as a package, or that was published, has the library where the runtime looks.
        if (NativeLibrary.TryLoad(Native.Library, assembly, searchPath, out nint library))
        {
            return library;
        }

        // A project reference copies the package's folder layout beside the output.
        List<string> tried = [];
        foreach (string rid in new[] { RuntimeInformation.RuntimeIdentifier, PortableRid() })
        {
            string path = Path.Combine(AppContext.BaseDirectory, "runtimes", rid, "native", FileName());
            if (!tried.Contains(path) && NativeLibrary.TryLoad(path, out library))
            {
                return library;
            }

            tried.Add(path);
        }

        throw new DllNotFoundException(
            $"Instar's native library {FileName()} was not found for {RuntimeInformation.RuntimeIdentifier}. " +
            $"Looked beside the application, in its NuGet packages, and for {string.Join(" and ", tried)}. " +
            "The package Instar contains it for linux-x64; from a checkout, run bindings/dotnet/build.sh first.");
    }

    private static string FileName() =>
        OperatingSystem.IsWindows() ? "instar_ffi.dll" : OperatingSystem.IsMacOS() ? "libinstar_ffi.dylib" : "libinstar_ffi.so";

    private static string PortableRid()
    {
        string system = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux";
        return $"{system}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
    }

    /// <summary>Another version's functions may take other arguments: calling them would be undefined behaviour.</summary>
    private static void Check(nint library)
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        if (!NativeLibrary.TryGetExport(library, "ffi_instar_ffi_uniffi_contract_version", out nint contract) ||
            !NativeLibrary.TryGetExport(library, "uniffi_instar_ffi_fn_func_abi_version", out nint abi))
        {
            throw new BadImageFormatException($"{FileName()} is not Instar's native library, or a damaged one.");
        }

        uint contractVersion = ((delegate* unmanaged[Cdecl]<uint>)contract)();
        uint abiVersion = ((delegate* unmanaged[Cdecl]<RustCallStatus*, uint>)abi)(&status);
        if (contractVersion != Native.ContractVersion || abiVersion != Native.AbiVersion)
        {
            throw new BadImageFormatException(
                $"{FileName()} has contract {contractVersion} and ABI {abiVersion}, but this Instar.dll needs contract " +
                $"{Native.ContractVersion} and ABI {Native.AbiVersion}. Use both from the same version of the package.");
        }
    }
}
