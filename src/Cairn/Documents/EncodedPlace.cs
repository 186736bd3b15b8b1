using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Finds the place of a path in the canonical encoding of a value, without making the values on the way: what is passed over is
/// read item by item and allocates nothing.</summary>
internal static class EncodedPlace
{
    /// <summary>The encoding of what stands at a place.</summary>
    /// <param name="canonical">Judged before.</param>
    /// <param name="path">The segments that are left of it.</param>
    /// <returns>False when nothing does, as <see cref="DocumentPath.TryGet"/> says it of values.</returns>
    internal static bool TryFind(ReadOnlySpan<byte> canonical, EncodedPath path, out ReadOnlySpan<byte> found)
    {
        found = canonical;
        while (path.MoveNext(out var segment))
        {
            if (!ValueCodec.TryReadKind(found, out var kind))
                return false;
            switch (kind)
            {
                case ValueKind.Object when segment.IsName:
                    if (!ValueDecoder.TryFindMember(found, segment.Name, out found))
                        return false;
                    break;
                case ValueKind.Array when segment.IsIndex:
                    if (!ValueDecoder.TryFindElement(found, segment.IndexIn(ValueDecoder.ElementCount(found)), out found))
                        return false;
                    break;
                default:
                    return false;
            }
        }

        return true;
    }
}
