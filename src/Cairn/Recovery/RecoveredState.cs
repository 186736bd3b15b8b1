using Cairn.Checkpoints;
using Cairn.Content;
using Cairn.Log;
using Cairn.Replay;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Recovery;

/// <summary>
/// What recovery builds: the image of a checkpoint, and above it the log through the one <c>Apply</c>. Recovery tries the newest
/// checkpoint first; when its image cannot be used, everything built so far is thrown away and it begins again at the older one.
/// </summary>
/// <remarks>Opening an image costs the same for any size: of each table header, footer and root, and the records of three runs.</remarks>
internal sealed class RecoveredState(
    IStorage storage, SnapshotRegistry pins, VisibleSequence visible, OperationTable operations, Limits limits, BlockCache cache,
    ContentStore content, MemoryBudget? budget = null, int heldBytes = 0) : IDisposable
{
    private Catalogue? _catalogue;
    private Openings? _openings;

    internal CurrentImage Image { get; private set; } = new();

    internal Catalogue Catalogue => _catalogue ?? throw new InvalidOperationException("Recovery has not begun.");

    /// <summary>Holds records back to bring keys of the image in their order. For who hands the records in.</summary>
    internal LookAhead Ahead { get; } = new(operations, heldBytes);

    internal Openings Openings => _openings ?? throw new InvalidOperationException("Recovery has not begun.");

    /// <summary>Begins, or begins anew: at a checkpoint, or with nothing at the beginning of the log.</summary>
    /// <exception cref="CorruptionException">The checkpoint's image is damaged.</exception>
    internal void Begin(Manifest manifest, ManifestCheckpoint? checkpoint)
    {
        Dispose();
        Image = new CurrentImage();
        if (checkpoint is not null)
            Image.Value = CheckpointImage.Open(storage, manifest, checkpoint, cache, content);
        _catalogue = new Catalogue(pins, visible, content, Image, checkpoint?.Sequence ?? 0, budget)
        {
            Limits = limits,
            Past = point => PastRun.Make(point, operations, content, limits, budget),
        };
        _openings = new Openings(_catalogue, operations);
        if (checkpoint is not null)
            Resume(manifest, checkpoint);
        _catalogue.BeginLoad();
        Ahead.Begin(_catalogue, cache);
    }

    private void Resume(Manifest manifest, ManifestCheckpoint checkpoint)
    {
        if (!Image.Value.TryGet(default, RunNumbers.Key, ulong.MaxValue, out var version)
            || CatalogueRecord.TryRead(version.Value) is not { } record)
        {
            var path = LogNames.TablePath(manifest.TablesOf(checkpoint)[0].Number);
            throw new CorruptionException(path, 0, new Sequence(checkpoint.Sequence), "the catalogue's record");
        }

        Openings.Resume(record.Epoch, record.EndedUncleanly);
        Catalogue.State.LastSequence = checkpoint.Sequence;
    }

    internal void Follow(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position) => Openings.Follow(header, payload, position);

    /// <summary>The log was read to its end.</summary>
    internal void End(RecoveryFindings findings)
    {
        Ahead.End();
        Catalogue.EndLoad();
        Openings.End(findings.WasClosedCleanly || findings.IsCreated);
    }

    /// <summary>Throws away what was built, and closes the tables of the image that is the current one by then.</summary>
    public void Dispose()
    {
        _catalogue?.Dispose();
        _catalogue = null;
        foreach (var table in Image.Value.Tables)
            table.Dispose();
    }
}
