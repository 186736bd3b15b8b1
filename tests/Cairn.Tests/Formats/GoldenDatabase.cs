using System.Globalization;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Log;

namespace Cairn.Tests.Formats;

/// <summary>The content of the golden directories, written through the public door with a seed and a clock that stands still but
/// for the steps it is told to take: the same bytes each time.</summary>
internal static class GoldenDatabase
{
    private const int Keys = 60;
    private const int Cells = 5;

    /// <summary>Two openings: one that is closed cleanly, and one that is cut off behind a sync, so that its log ends without a
    /// seal.</summary>
    /// <returns>The files as a crash would have left them.</returns>
    internal static DirectoryImage Write()
    {
        using var storage = new MemoryStorage();
        var clock = new SteppingClock();
        using (var db = Open(storage, clock, Durability.Strict))
        {
            for (var i = 0; i < Keys; i++)
            {
                db.Default.Kv.Put(Key(i), Content(i), i % 10 == 9 ? TimeSpan.FromDays(36_000) : null);
                db.Default.Events.Append(EventType(i), Payload(i));
                db.Default.State.Set(Cell(i), i);
                clock.Step();
            }

            WriteRuns(db, clock);
            db.Engine.Maintainer!.Step();
        }

        using (var db = Open(storage, clock, Durability.Buffered))
        {
            db.Default.Transact(tx =>
            {
                for (var i = 0; i < Keys; i += 7)
                    tx.Kv.Delete(Key(i));
                tx.Kv.Increment("counter", 41);
                tx.State.Delete(Cell(0));
                tx.Events.Append("note", Payload(Keys), [0, 1]);
            });
            db.Default.Events.Redact(2, "not for everybody");
            db.Default.Events.Consumers.Commit("reader", 3);
            db.Default.State.Acquire("lease", "ada", TimeSpan.FromDays(30_000));
            clock.Step();
            db.Default.Kv.Increment("counter");
            db.Default.Kv.Expire(Key(1), TimeSpan.FromDays(30_000));
            db.Default.Kv.Persist(Key(9));
            db.Sync();
            var image = DirectoryImage.Of(storage);
            foreach (var path in image.Files.Keys.Where(path => !IsKept(path)).ToList())
                image.Files.Remove(path);
            return image;
        }
    }

    // A finished run with a parent of its own, a paused one, one that a crash leaves at work, one that is deleted; a tree of traces.
    private static void WriteRuns(CairnDatabase db, SteppingClock clock)
    {
        var parent = db.Runs.Begin("parent", tags: ["red", "green"], metadata: Value.Object(("n", 1)));
        var child = db.Runs.Begin("child", parent.Id);
        child.Kv.Put("key", "value");
        child.Complete("done");
        parent.RemoveTags("red");
        parent.Pause();
        db.Runs.Begin("at work").Kv.Put("key", 1);
        var gone = db.Runs.Begin("gone");
        gone.Events.Append("note", Payload(0));
        db.Runs.Delete(gone.Id);
        clock.Step();
        var traces = db.Default.Traces;
        var thought = traces.Record(new ThoughtStep("refund?", 0.5), new TraceOptions { Tags = ["a", "b"] });
        clock.Step();
        var tool = traces.Record(new ToolCallStep("crm", Value.Object(("id", 4711)), "found"), new TraceOptions { Parent = thought });
        traces.Record(new ErrorStep("timeout", "no answer", IsRecoverable: true), new TraceOptions { Parent = tool });
        traces.Record(new DecisionStep("refund?", ["yes", "no"], "yes"), new TraceOptions { Parent = thought });
        traces.Redact(traces.Record(new CustomStep("secret", "to be removed"), new TraceOptions { Parent = thought }));
    }

    /// <summary>Compares what is there with what was written, through the public door.</summary>
    /// <returns>What differs; null when nothing does.</returns>
    internal static string? Differs(CairnDatabase db)
    {
        var kv = db.Default.Kv;
        for (var i = 0; i < Keys; i++)
        {
            var found = kv.GetVersioned(Key(i));
            if (i % 7 == 0)
            {
                if (found is not null)
                    return $"{Key(i)} was deleted and is there";
                continue;
            }

            if (found is not { } versioned || versioned.Value != Content(i))
                return $"{Key(i)} is {found?.Value.ToString() ?? "absent"}, written was {Content(i)}";
            var expires = (i % 10 == 9 && i != 9) || i == 1;
            if (versioned.Expiry is not null != expires)
                return $"{Key(i)} has the expiry {versioned.Expiry}";
        }

        if (kv.Get("counter")?.AsInt64() != 42)
            return $"counter is {kv.Get("counter")}";
        var count = Keys - (Keys + 6) / 7 + 1;
        if (kv.Count() != count)
            return $"there are {kv.Count()} keys, written were {count}";
        return EventsDiffer(db.Default.Events) ?? StateDiffers(db.Default.State) ?? TracesDiffer(db.Default.Traces) ?? RunsDiffer(db);
    }

    private static string? TracesDiffer(Traces traces)
    {
        if (traces.Count() != 5)
            return $"there are {traces.Count()} traces, written were 5";
        if (traces.Roots() is not [{ Step: ThoughtStep { Content: "refund?", Confidence: 0.5 }, Tags: ["a", "b"] } root])
            return "the root is not the thought";
        if (traces.Tree(root.Id) is not { Count: 5, IsComplete: true })
            return "the tree is not whole";
        var children = traces.Children(root.Id);
        if (children is not [{ Step: ToolCallStep { Tool: "crm" } }, { Step: DecisionStep { Chosen: "yes" } }, { IsRedacted: true }])
            return "the thought has other children";
        return traces.ByType(TraceType.Error) is [{ Step: ErrorStep { IsRecoverable: true } }] ? null : "the error is another";
    }

    private static string? RunsDiffer(CairnDatabase db)
    {
        if (db.Runs.Get("parent")?.Info is not { Status: RunStatus.Paused, Tags: ["green"] } parent)
            return $"the parent is {db.Runs.Get("parent")?.Info}";
        if (parent.Metadata != Value.Object(("n", 1)))
            return $"the parent's metadata is {parent.Metadata}";
        if (db.Runs.Get("child") is not { } child || child.Info.Status != RunStatus.Completed || child.Info.Parent != parent.Id)
            return $"the child is {db.Runs.Get("child")?.Info}";
        if (child.Info.Result != "done" || child.Kv.Get("key") != "value")
            return $"the child came to {child.Info.Result} and holds {child.Kv.Get("key")}";
        if (db.Runs.Exists("gone"))
            return "a deleted run is there";
        return db.Runs.Get("at work")?.Kv.Get("key")?.AsInt64() == 1 ? null : "the run at work has lost its key";
    }

    private static string? EventsDiffer(Events events)
    {
        const int Count = Keys + 2;              // the note, and the one that records the redaction
        if (events.Count() != Count)
            return $"there are {events.Count()} events, written were {Count}";
        if (events.Verify() is { IsValid: false } wrong)
            return $"the chain of events is wrong from {wrong.FirstInvalid} on: {wrong.Error}";
        for (var i = 0; i < Keys; i++)
        {
            var found = events.Get((ulong)i)!;
            if (found.Type != EventType(i) || found.IsRedacted != (i == 2) || (i != 2 && found.Payload != Payload(i)))
                return $"event {i} is {found.Type} {found.Payload}";
        }

        if (events.Get(Keys)!.Causes.Count != 2)
            return "the note has lost its causes";
        return events.Consumers.Position("reader") == 3 ? null : $"the reader is at {events.Consumers.Position("reader")}";
    }

    private static string? StateDiffers(State state)
    {
        for (var i = 1; i < Cells; i++)
        {
            if (state.Get(Cell(i)) is not { } cell || cell.Value.AsInt64() != Keys - Cells + i || cell.Counter != Keys / Cells)
                return $"{Cell(i)} is {state.Get(Cell(i))}";
        }

        if (state.Exists(Cell(0)))
            return $"{Cell(0)} was deleted and is there";
        return state.Exists("lease") ? null : "the lease is gone";
    }

    internal static CairnDatabase Open(IStorage storage, TimeProvider clock, Durability mode) => CairnDatabase.Open(
        storage,
        new CairnOptions
        {
            Durability = mode,
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 16 << 10,
            RandomSeed = 20_260_101,
            TimeProvider = clock,
        },
        new EngineHooks { IsMaintenanceManual = true });

    /// <summary>Whether a file belongs to the fixture: not the lock, which names a process, and not space without meaning.</summary>
    private static bool IsKept(string path) => path is not (LogNames.Lock or LogNames.Reserve or LogNames.PreparedPath);

    private static string EventType(int i) => i % 3 == 0 ? "tool_call" : "observation";

    private static Value Payload(int i) => Value.Object(("n", i), ("text", $"event {i}"));

    private static string Cell(int i) => (i % Cells).ToString("cell-0", CultureInfo.InvariantCulture);

    private static string Key(int i) => i.ToString("key-000", CultureInfo.InvariantCulture);

    // Every kind of value, and some that make a segment full.
    private static Value Content(int i) => (i % 8) switch
    {
        0 => Value.Null,
        1 => i % 2 == 1,
        2 => long.MinValue + i,
        3 => i / 7.0,
        4 => new string((char)('a' + i % 26), i * 30),
        5 => Value.Bytes(Enumerable.Range(0, i * 10).Select(n => (byte)n).ToArray()),
        6 => Value.Array(i, "two", Value.Null),
        _ => Value.Object(("n", i), ("nested", Value.Object(("list", Value.Array(1, 2, 3))))),
    };
}

/// <summary>Stands still until it is told to take a step of a second.</summary>
internal sealed class SteppingClock : TimeProvider
{
    private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    internal void Step() => _now += TimeSpan.FromSeconds(1);

    public override DateTimeOffset GetUtcNow() => _now;

    public override long GetTimestamp() => _now.UtcTicks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;
}
