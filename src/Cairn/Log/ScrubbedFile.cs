namespace Cairn.Log;

/// <summary>A file that never changes, and what it must be: a segment that has ended, a table, an archive. Named by the manifest.</summary>
internal sealed record ScrubbedFile(string Path, long Bytes, Digest Digest, ulong FirstSequence, ulong LastSequence);
