using System.CommandLine;
using System.Diagnostics;
using Cairn.Cli.Demonstration;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn demo documents</c>.</summary>
internal static class DocumentsDemoVerbs
{
    internal static Verb Demo()
    {
        var keep = new Option<bool>("--keep") { Description = "Keeps the directory and says where it is." };
        return new Verb(
            "documents", "Shows documents that many change at once: 64 writers of one plan without a conflict, two at one place and what "
                + "the later one is told, queries without an index and with one. Some seconds.",
            "cairn demo documents", Needs.Nothing,
            call => DemoVerbs.InDirectory(call.Get(keep), (directory, isKept) => Run(call, Path.Combine(directory, "db"), isKept)),
            keep);
    }

    private static int Run(Call call, string directory, bool keep)
    {
        var began = Stopwatch.GetTimestamp();
        var page = call.IsJson ? null : new DocumentsDemoPage(call.Streams.Page);
        var demo = new DocumentsDemo(directory);
        page?.Title();
        Planned planned;
        Edited edited;
        Claimed claimed;
        Asked asked;
        Indexed indexed;
        Refused refused;
        using (var database = CairnDatabase.Open(directory))
        {
            planned = demo.Plan(database);
            page?.Planned(planned);
            call.Streams.Out.Flush();
            edited = demo.Edit(database);
            page?.Edited(edited);
            claimed = demo.Claim(database);
            page?.Claimed(claimed);
            asked = demo.Ask(database);
            page?.Asked(asked);
            call.Streams.Out.Flush();
            indexed = demo.AskMany(database);
            page?.Indexed(indexed);
            refused = demo.Refuse(database);
            page?.Refused(refused);
            call.Streams.Out.Flush();
        }

        var again = demo.OpenAgain();
        page?.OpenedAgain(again);
        var isGood = edited.IsWhole && claimed.IsTold && asked.IsRight && indexed.IsGood && refused.IsGood && again.IsGood;
        var time = Stopwatch.GetElapsedTime(began);
        page?.End(isGood, time, keep ? directory : null);
        if (page is null)
            call.Answer("", Json(planned, edited, claimed, asked, indexed, refused, again, isGood, time, keep ? directory : null));
        return isGood ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    private static (string Name, Value Value)[] Json(
        Planned planned, Edited edited, Claimed claimed, Asked asked, Indexed indexed, Refused refused, OpenedAgain again, bool isGood,
        TimeSpan time, string? kept) =>
    [
        ("ok", isGood),
        ("steps", planned.Steps),
        ("writers", DocumentsDemo.Writers),
        ("rounds", DocumentsDemo.Rounds),
        ("commits", edited.Commits),
        ("conflicts", edited.Conflicts),
        ("record_bytes", edited.RecordBytes),
        ("document_bytes", Value.Object(("begun", planned.Bytes), ("edited", edited.Bytes))),
        ("conflict", claimed.Conflict is { } conflict
            ? Value.Object(
                ("region", conflict.Region), ("read", Failures.Number(conflict.ReadVersion)),
                ("current", Failures.Number(conflict.CurrentVersion)), ("changed_by", claimed.ChangedBy), ("taken", claimed.Taken))
            : Value.Null),
        ("query", Value.Object(
            ("text", DocumentsDemo.Query), ("right", asked.IsRight),
            ("paths", Value.Array(asked.Found.Select(found => (Value)found.Path))))),
        ("indexed", Value.Object(
            ("documents", DocumentsDemo.Attempts), ("filter", DocumentsDemo.Filter), ("right", indexed.IsSame), ("items", indexed.Items),
            ("without", Way(indexed.Without)), ("with", Way(indexed.With)))),
        ("unique", Value.Object(("refused", refused.Message), ("right", refused.IsGood))),
        ("reviews", again.Reviews),
        ("difference", again.Difference),
        ("verified", again.Log.IsValid),
        ("times_ms", Value.Object(
            ("plan", Show.Milliseconds(planned.Time)),
            ("edit", Show.Milliseconds(edited.Time)),
            ("conflict", Show.Milliseconds(claimed.Time)),
            ("query", Show.Milliseconds(asked.Time)),
            ("documents", Show.Milliseconds(indexed.Written)),
            ("index", Show.Milliseconds(indexed.Built)),
            ("unique", Show.Milliseconds(refused.Built)),
            ("again", Show.Milliseconds(again.Time)),
            ("total", Show.Milliseconds(time)))),
        ("kept", kept),
    ];

    private static Value Way(Found found) => Value.Object(
        ("kind", found.Plan.Kind.ToString()), ("indexes", Value.Array(found.Plan.Indexes.Select(name => (Value)name))),
        ("rows", found.Ids.Count), ("rows_estimated", found.Plan.EstimatedRows), ("items_read", found.Plan.ItemsRead),
        ("things_read", found.Plan.ThingsRead), ("reason", found.Plan.Reason), ("time_ms", Show.Milliseconds(found.Time)));
}
