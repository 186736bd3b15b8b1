using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Takes a record that an archive kept: for which runs, and which of their operations.</summary>
internal delegate void SalvageKept(
    ulong sequence, ReadOnlySpan<byte> payload, ulong position, IReadOnlyDictionary<RunId, KeptOperations> kept);

/// <summary>The records of an archive of a damaged database, in the order of the log. Damage costs the records that it hits: a record by
/// its own place, and where the section of records or of pieces is damaged, those that stand in that block.</summary>
/// <param name="archive">Of the damaged database.</param>
/// <param name="lose">Told the offset of what cannot be read, and why.</param>
internal sealed class SalvagedArchive(Archive archive, Action<long, string> lose)
{
    internal void Read(SalvageKept carry, CancellationToken cancellationToken)
    {
        using var buffer = new ArchivedRecordBuffer();
        foreach (var records in Records().GroupBy(record => record.Position).OrderBy(group => group.Key))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var kept = new Dictionary<RunId, KeptOperations>();
            var isRead = Attempt(() =>
            {
                foreach (var record in records)
                    kept.Add(record.Run, archive.MarksOf(record));
                buffer.Read(archive, records.Key);
            });
            if (isRead)
                carry(buffer.Header.Sequence, buffer.Payload, records.Key, kept);
        }
    }

    private List<ArchivedRecord> Records()
    {
        var records = new List<ArchivedRecord>();
        var count = 0L;
        Attempt(() => count = archive.RecordCount);
        for (var i = 0L; i < count; i++)
            Attempt(() => records.Add(archive.RecordAt(i)));
        return records;
    }

    private bool Attempt(Action read)
    {
        try
        {
            read();
            return true;
        }
        catch (CorruptionException damage) when (damage.File == archive.Path)
        {
            lose(damage.Offset, $"history in it is lost: there should be {damage.Expected}");
        }
        catch (Exception unreadable) when (unreadable is FormatVersionException or StorageException)
        {
            lose(0, $"history in it is lost: {unreadable.Message}");
        }

        return false;
    }
}
