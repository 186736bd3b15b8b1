using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Checkpoints;

/// <summary>Opens the tables of a checkpoint as one image. The caller closes them.</summary>
internal static class CheckpointImage
{
    /// <param name="content">Told when the image refers to contents; null: nobody commits above it.</param>
    /// <exception cref="CorruptionException">A table is damaged; none is open then.</exception>
    internal static Image Open(
        IStorage storage, Manifest manifest, ManifestCheckpoint checkpoint, BlockCache cache, ContentStore? content)
    {
        var tables = new List<Table>();
        try
        {
            foreach (var info in manifest.TablesOf(checkpoint))
            {
                tables.Add(Table.Open(storage, info, manifest.DatabaseId, cache));
                if (info.ContentReferences > 0)
                    content?.LeftMemory();
            }

            return new Image([.. tables]);
        }
        catch
        {
            foreach (var table in tables)
                table.Dispose();
            throw;
        }
    }
}
