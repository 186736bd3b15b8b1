namespace Cairn.Log;

/// <summary>Version and features that each file of a database carries (durability rules, section 13).</summary>
internal readonly record struct FormatFeatures(ushort Major, ushort Minor, uint Compatible, uint ReadOnlyCompatible, uint Incompatible)
{
    internal const ushort CurrentMajor = 1;
    internal const ushort CurrentMinor = 0;

    internal static FormatFeatures Current => new(CurrentMajor, CurrentMinor, 0, 0, 0);

    /// <summary>Refuses by name what this version does not know. A compatible bit is ignored and kept.</summary>
    /// <exception cref="FormatVersionException">A higher major version, an unknown incompatible bit, or, for writing, an unknown
    /// read-only-compatible one.</exception>
    internal void Check(string file, bool forWriting)
    {
        if (Major != CurrentMajor)
            throw new FormatVersionException(file, $"format {Major}.{Minor}", $"format {CurrentMajor}");
        if (Incompatible != 0)
            throw new FormatVersionException(file, $"incompatible features 0x{Incompatible:X8}", "none");
        if (forWriting && ReadOnlyCompatible != 0)
            throw new FormatVersionException(file, $"features 0x{ReadOnlyCompatible:X8} that only allow reading", "none; open it read-only");
    }
}
