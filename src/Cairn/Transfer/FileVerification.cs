using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Compares the files of a living database with what its manifest says of them: names and lengths, and if asked every byte.
/// Owns the capture.</summary>
internal sealed class FileVerification(LogCapture files) : IDisposable
{
    private readonly List<VerificationFinding> _findings = [];

    internal IReadOnlyList<VerificationFinding> Findings => _findings;

    internal void Run(bool readsAll, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        var segments = files.Manifest.Segments;
        var total = files.Files.Sum(file => file.Named.Bytes) + segments.Sum(segment => segment.FileBytes);
        using var copy = new FileCopy(total, progress, cancellationToken);
        foreach (var (named, file) in files.Files)
            Check(copy, "file", named, file, readsAll);
        for (var i = 0; i < segments.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (file, path) = (files.SegmentAt(i), LogNames.SegmentPath(segments[i].Number));
            if (ReadHeader(segments[i], file) is not { } header)
                Find("segment", path, "the header is not a segment's, or another one's");
            else if (!segments[i].IsOpen)
                Check(copy, "segment", TransferNames.Of(segments[i]), file, readsAll);
            else if (readsAll)
                Scan(header, file, path, cancellationToken);
        }
    }

    private void Check(FileCopy copy, string part, in NamedFile named, IFile file, bool readsAll)
    {
        copy.Step = named.Path;
        if (file.Length < named.Bytes)
        {
            Find(part, named.Path, $"{file.Length} bytes, and the manifest names {named.Bytes}");
            return;
        }

        if (readsAll && copy.Copy(file, 0, named.Bytes, null, 0) != named.Digest && !Mutant.Is("verify-digest-ignored"))
            Find(part, named.Path, "its digest is not the one that the manifest names");
    }

    private static SegmentHeader? ReadHeader(in ManifestSegment named, IFile file)
    {
        var bytes = new byte[SegmentHeader.Size];
        return file.ReadAt(bytes, 0) == bytes.Length && SegmentHeader.TryRead(bytes, out var header) && header.Number == named.Number
            && header.BasePosition == named.BasePosition ? header : null;
    }

    private void Scan(in SegmentHeader header, IFile file, string path, CancellationToken cancellationToken)
    {
        using var scanner = new LogScanner();
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        scanner.Begin(file, path, salt, header.BasePosition, files.Position, header.PreviousDigest.Chain, header.FirstSequence - 1);
        while (scanner.Read(out _, out _))
            cancellationToken.ThrowIfCancellationRequested();
        if (scanner.Position != files.Position)
            Find("log", path, $"the record at offset {scanner.Offset}, behind sequence {scanner.LastSequence}, is damaged "
                + $"({scanner.Fault})");
    }

    private void Find(string part, string path, string text) => _findings.Add(new VerificationFinding(part, $"{path}: {text}."));

    public void Dispose() => files.Dispose();
}
