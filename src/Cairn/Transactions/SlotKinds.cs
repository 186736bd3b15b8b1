using Cairn.Codec;

namespace Cairn.Transactions;

/// <summary>Kinds of what may stand at a place of a document, nothing among them: a read that depends on no more than the kind holds as
/// long as one of these stands there.</summary>
internal static class SlotKinds
{
    internal const int Absent = 1 << 15;
    internal const int Object = 1 << (int)ValueKind.Object;
    internal const int Present = Absent - 1;

    internal static int Of(scoped in VersionView version)
    {
        if (version.IsTombstone)
            return Absent;
        return DocumentSlot.TryReadKind(version.Value, out var kind) ? 1 << (int)kind : Present;
    }
}
