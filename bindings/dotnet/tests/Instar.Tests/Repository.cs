using System;
using System.IO;

namespace Instar.Tests;

/// <summary>Where the checkout is, found from the place of the test assembly.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    public static string Path(params string[] parts) => System.IO.Path.Combine([Root, .. parts]);

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "tests", "conformance", "README.md")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"no checkout of Instar above {AppContext.BaseDirectory}");
    }
}
