using Spectre.Console;

namespace Cairn.Cli.Demonstration;

/// <summary>The documents demo for people.</summary>
internal sealed class DocumentsDemoPage(IAnsiConsole page) : NumberedPage(page)
{
    internal void Title() => Title("one plan, and many who work on it at once");

    internal void Planned(Planned found)
    {
        Part($"One document: the {found.Steps} steps of four recorded agents");
        Result(true, $"cairn json put {DocumentsDemo.Id}: {Show.Bytes(found.Bytes)} of JSON", found.Time);
    }

    internal void Edited(Edited found)
    {
        Part($"{DocumentsDemo.Writers} writers, all at once, {DocumentsDemo.Rounds} rounds: each has read a plan that the others change");
        Line("each reads a step, writes its verdict there, appends to one list, adds to one number");
        Line($"the log takes what was asked, not the document: {Show.Bytes(found.RecordBytes)} a commit, the plan has "
            + Show.Bytes(found.Bytes));
        Result(
            found.IsWhole,
            found.IsWhole ? $"{found.Commits} commits, each on the device; no conflict"
                : $"{found.Commits} commits and {found.Conflicts} CONFLICTS", found.Time);
    }

    internal void Claimed(Claimed found)
    {
        Part("Two writers claim one step");
        if (found.Conflict is { } conflict)
        {
            Line($"{found.First} and {found.Second} both see that nobody has step {found.Step}, and both take it");
            Line($"{found.Second} is told: {conflict.Primitive} '{conflict.Key}' at {conflict.Region}");
            Line($"   what it had read as of {conflict.ReadVersion} was changed by {conflict.CurrentVersion}");
            Line($"   cairn blame json/{conflict.Key} --path {DocumentPath.Parse(conflict.Region).ToPointer()}: {found.ChangedBy}");
        }

        Result(
            found.IsTold,
            found.IsTold ? $"run again, {found.Second} sees that {found.Owner} has it and takes step {found.Taken}"
                : "NOT told as it should be", found.Time);
    }

    internal void Asked(Asked found)
    {
        Part("JSONPath: steps that change files, about a test or a reproduction");
        Line(DocumentsDemo.Query);
        foreach (var (path, action) in found.Found)
        {
            Page.Write(new Paragraph().Append($"   {path,-24} ", Quiet).Append(DemoPage.FirstLine(action, TextWidth - 26)));
            Page.WriteLine();
        }

        Result(found.IsRight, found.IsRight ? $"{found.Found.Count} places, as in the recordings" : "NOT what the recordings hold",
            found.Time);
    }

    internal void Indexed(Indexed found)
    {
        Part($"{Show.Number(DocumentsDemo.Attempts)} small documents, and a question to all of them");
        Result(true, $"written in transactions of {Show.Number(new Limits().ManyItemsMax)}", found.Written);
        Line(DocumentsDemo.Filter);
        Way("without an index", found.Without);
        Result(
            found.Items > 0, $"an index over $.tool and $.attempt, built in the background: {Show.Number(found.Items)} items", found.Built);
        Way("with the index", found.With);
        Result(
            found.IsGood,
            found.IsGood ? $"{found.With.Ids.Count} documents both times, as in the recordings" : "NOT what it should be both times");
    }

    private void Way(string how, Found found)
    {
        var plan = found.Plan;
        var items = plan.ItemsRead == 0 ? "" : $" behind {Show.Number(plan.ItemsRead)} items";
        Line($"cairn explain, {how}: {plan.Kind}, {Show.Number(plan.ThingsRead)} documents read{items}; "
            + $"the query took {Show.Duration(found.Time)}");
        Page.Write(new PlainText($"   {plan.Reason}", Quiet));
        Page.WriteLine();
    }

    internal void Refused(Refused found)
    {
        Part("A unique index: one document of each step and attempt");
        Result(true, "built by the commit that defines it", found.Built);
        Line("another document with the step and the attempt of one that is there:");
        foreach (var line in found.Message?.Split(". ")[0].Split(": ", 2) ?? [])
            Line("   " + line);
        Result(
            found.IsGood,
            found.IsGood ? "a second one is refused, and nothing is written" : "a second one was NOT refused as it should be");
    }

    internal void OpenedAgain(OpenedAgain found)
    {
        Part("Open the directory again");
        Result(found.Log.IsValid, found.Log.Damage?.Message ?? $"log: {found.Log.Records} records, every checksum is right");
        Result(
            found.Difference is null, found.Difference ?? $"{found.Reviews} reviews: every one is there, once; the index finds the same",
            found.Time);
    }

    internal void End(bool isGood, TimeSpan time, string? kept)
    {
        Page.WriteLine();
        Result(
            isGood, isGood ? "Many wrote one document, and nobody overwrote anybody." : "The demo FAILED: please report what you see.",
            time);
        Line(kept is not null
            ? $"kept: cairn explain \"{DocumentsDemo.Filter}\" --on documents --db {kept}"
            : "Look around in it: cairn demo documents --keep");
        Page.WriteLine();
    }
}
