using Cairn.Codec;

namespace Cairn.Transactions;

/// <summary>Kinds of what may stand at a place of a document, nothing among them: a read that depends on no more than the kind holds as
/// long as one of these stands there.</summary>
internal static class SlotKinds
{
    internal const int Absent = 1 << 15;
    internal const int Object = 1 << (int)ValueKind.Object;
    internal const int Present = Absent - 1;

    private const int Large = (1 << (int)ValueKind.String) | (1 << (int)ValueKind.Bytes);

    internal static int Of(scoped in VersionView version)
    {
        if (version.IsTombstone)
            return Absent;
        return DocumentSlot.TryReadKind(version.Value, out var kind) ? 1 << (int)kind : Present;
    }

    /// <summary>One of the kinds stands there. A large value, which may have to be read from the log, is looked at only when its kind
    /// decides.</summary>
    internal static bool Holds(scoped in VersionView version, int kinds)
    {
        if (!version.IsTombstone && (kinds & Present) == Present)
            return true;
        if (version.IsContent && (kinds & Large) is 0 or Large)
            return (kinds & Large) != 0;
        return (Of(version) & kinds) != 0;
    }
}
