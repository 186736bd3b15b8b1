using System.Globalization;
using System.Text;

namespace Cairn.Cli.Demonstration;

/// <summary>
/// What the storage demo keeps: memories that their number and their revision make, so that whoever opens the database later knows what
/// must be in it. They are written in batches, one commit each: first all memories in order, then one revision after another, each of
/// every second batch in turns. A number of batches therefore says exactly what the database holds.
/// </summary>
internal sealed class Memories(int count)
{
    internal const int BatchSize = 1_000;
    internal const int CountMin = 10 * BatchSize;
    internal const int CountMax = 10_000_000;

    // Every fiftieth brings what was said, which is more than a run keeps in memory.
    private const int TranscriptEvery = 50;
    private const int TranscriptLines = 75;

    private static readonly string[] Facts =
    [
        "prefers to be called in the evening", "has asked for an invoice on paper", "travels with two children",
        "wants the tests to run before every commit", "does not like tabs", "works from Lisbon in winter",
    ];

    internal int Count { get; } = count / BatchSize * BatchSize;

    internal int BatchesToLoad => Count / BatchSize;

    internal int BatchesOfRevision => BatchesToLoad / 2;

    internal static string Key(int number) => string.Create(CultureInfo.InvariantCulture, $"memory/{number:00000000}");

    /// <summary>The memories that a batch writes: the first of them, and their revision.</summary>
    internal (int First, int Revision) Batch(long batch)
    {
        if (batch < BatchesToLoad)
            return ((int)batch * BatchSize, 0);
        var (revision, at) = Math.DivRem(batch - BatchesToLoad, BatchesOfRevision);
        return ((int)(2 * at + revision % 2) * BatchSize, (int)revision + 1);
    }

    /// <summary>The pairs of a batch.</summary>
    internal KeyValuePair<string, Value>[] Pairs(long batch)
    {
        var (first, revision) = Batch(batch);
        var pairs = new KeyValuePair<string, Value>[BatchSize];
        for (var i = 0; i < pairs.Length; i++)
            pairs[i] = new(Key(first + i), Make(first + i, revision));
        return pairs;
    }

    /// <summary>The revision of each memory's batch when so many batches are in; -1: not loaded yet.</summary>
    internal int[] RevisionsAfter(long batches)
    {
        var revisions = new int[BatchesToLoad];
        Array.Fill(revisions, -1);
        for (var batch = 0L; batch < batches; batch++)
        {
            var (first, revision) = Batch(batch);
            revisions[first / BatchSize] = revision;
        }

        return revisions;
    }

    internal static Value Make(int number, int revision)
    {
        var fact = Facts[(number + revision) % Facts.Length];
        var text = string.Create(CultureInfo.InvariantCulture, $"customer {number * 7919L % 1_000_003}: {fact}");
        return number % TranscriptEvery == 0
            ? Value.Object(("revision", revision), ("text", text), ("transcript", Transcript(number, revision)))
            : Value.Object(("revision", revision), ("text", text));
    }

    private static string Transcript(int number, int revision)
    {
        var said = new StringBuilder();
        for (var line = 0; line < TranscriptLines; line++)
        {
            said.Append(CultureInfo.InvariantCulture, $"{line:00} turn {(number + 1L) * (line + 1) * 2_654_435_761 % 4_294_967_291:x8}, ")
                .Append(CultureInfo.InvariantCulture, $"seen {revision}: {Facts[line % Facts.Length]}\n");
        }

        return said.ToString();
    }
}
