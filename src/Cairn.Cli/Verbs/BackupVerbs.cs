using System.CommandLine;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn backup ...</c> and <c>cairn restore</c>.</summary>
internal static class BackupVerbs
{
    // Longer is no key but another file.
    private const long KeyBytesMax = 64 << 10;

    internal static Group Group() => new("backup", "Copies of the database at one commit, to restore it from.", Create(), Verify());

    private static Option<string?> KeyFile() => new("--key-file")
    {
        Description = "A file whose bytes, at least 16 and all of them, are the key of the code that the backup carries: without that key "
            + "nobody changes the backup unnoticed.",
        HelpName = "FILE",
    };

    private static Argument<string[]> Backups() => new("backup")
    {
        Description = "Directory of a backup; of an incremental one also those of its parents, in any order.",
        Arity = ArgumentArity.OneOrMore,
    };

    private static Verb Create()
    {
        var directory = new Argument<string>("directory") { Description = "Absent or empty, and not inside the database." };
        var parent = new Option<string?>("--parent")
        {
            Description = "An earlier backup: only what it and its parents lack is copied, and all of them are needed to restore.",
            HelpName = "DIR",
        };
        var key = KeyFile();
        return new Verb(
            "create",
            "Makes a backup of everything that is committed, whole or not at all. An interrupt takes it back.",
            "cairn backup create /backups/monday\ncairn backup create /backups/tuesday --parent /backups/monday", Needs.ReadDatabase,
            call => Create(call, call.Get(directory), call.Get(parent), call.Get(key)), directory, parent, key);
    }

    private static int Create(Call call, string directory, string? parent, string? keyFile)
    {
        var key = ReadKey(keyFile);
        var made = call.Watched("backing up", (progress, cancellationToken) =>
            call.Database.Backup(directory, new BackupOptions { Parent = parent, Key = key, Progress = progress }, cancellationToken));
        return call.Answer(
            $"{directory}: sequence {made.Sequence.Value}, {Show.Bytes(made.OwnBytes)} of {Show.Bytes(made.Bytes)} in "
                + $"{Show.Number(made.Files)} file(s)",
            [("directory", directory), .. Members(made)]);
    }

    private static Verb Verify()
    {
        var backups = Backups();
        var key = KeyFile();
        return new Verb(
            "verify", "Reads backups whole and compares every byte with what was backed up. Damage or a missing parent: exit code 6.",
            "cairn backup verify /backups/monday /backups/tuesday", Needs.Nothing,
            call => Verify(call, call.Get(backups), call.Get(key)), backups, key);
    }

    private static int Verify(Call call, string[] directories, string? keyFile)
    {
        var key = ReadKey(keyFile);
        var found = call.Watched("reading", (progress, cancellationToken) =>
            CairnDatabase.VerifyBackup(directories, new BackupOptions { Key = key, Progress = progress }, cancellationToken));
        var json = Value.Object(
            ("valid", found.IsValid),
            ("missing_parent", found.MissingParent is { } id ? id : Value.Null),
            ("bytes", found.Bytes),
            ("findings", Value.Array(found.Findings.Select(damage => Value.Object(
                ("file", damage.File), ("offset", damage.Offset), ("expected", damage.Expected))))),
            ("backups", Value.Array(found.Backups.Select(backup => Value.Object(Members(backup))))));
        call.Figures(json,
        [
            .. found.Backups.Select(backup => (backup.Parent is null ? "full" : "incremental",
                $"{backup.Id}: up to sequence {backup.Sequence.Value} of {Show.Time(backup.Time)}, {Show.Bytes(backup.OwnBytes)} of its "
                    + $"own")),
            ("read", Show.Bytes(found.Bytes)),
            .. found.Findings.Select(damage => ("DAMAGED", $"{damage.File} at offset {damage.Offset}: expected {damage.Expected}")),
            .. found.MissingParent is { } missing ? new[] { ("MISSING", $"the parent {missing}: give its directory too") } : [],
            .. found.IsValid ? new[] { ("valid", "every byte is as it was") } : [],
        ]);
        return found.IsValid ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    internal static Verb Restore()
    {
        var backups = Backups();
        var to = new Option<string>("--to") { Description = "The new database's directory: absent or empty.", HelpName = "DIR",
            Required = true };
        var sequence = Parts.Number("--sequence", "The last commit to restore. Default: the backup's.");
        var time = Parts.Time("--time", "Leaves out what was committed later:");
        var key = KeyFile();
        return new Verb(
            "restore", "Makes a database from a backup, as it was at its end, after a commit, or at a time. Replaces nothing.",
            "cairn restore /backups/monday /backups/tuesday --to ./restored --time 2026-01-31T12:00:00Z", Needs.Nothing,
            call =>
            {
                if (call.Get(sequence) is < 1)
                    throw new UsageException("Sequences begin at 1.");
                return Restore(call, call.Get(backups), call.Get(to)!, call.Get(sequence), call.Get(time), call.Get(key));
            },
            backups, to, sequence, time, key);
    }

    private static int Restore(Call call, string[] backups, string to, long? sequence, DateTimeOffset? time, string? keyFile)
    {
        var options = new RestoreOptions
        {
            ToSequence = sequence is { } last ? new Sequence((ulong)last) : null,
            ToTime = time,
            Key = ReadKey(keyFile),
        };
        var restored = call.Watched("restoring", (progress, cancellationToken) =>
            CairnDatabase.Restore(backups, to, options with { Progress = progress }, cancellationToken));
        return call.Answer(
            $"{to}: up to sequence {restored.Sequence.Value} of {Show.Time(restored.Time)}, {Show.Bytes(restored.Bytes)} in "
                + $"{Show.Number(restored.Files)} file(s)",
            ("directory", to),
            ("sequence", Failures.Number(restored.Sequence)),
            ("time_us", Show.Microseconds(restored.Time)),
            ("files", restored.Files),
            ("bytes", restored.Bytes));
    }

    internal static Verb Salvage()
    {
        var directory = new Argument<string>("directory") { Description = "The damaged database, which nobody has open. It is only read." };
        var to = new Option<string>("--to")
        {
            Description = "The new database's directory: absent or empty.",
            HelpName = "DIR",
            Required = true,
        };
        return new Verb(
            "salvage",
            "Makes a new database of what can be read of a damaged one, and accounts for what cannot. For want of a backup. Exit code 6 "
                + "when "
                + "something was lost.",
            "cairn salvage ./cairn-data --to ./salvaged", Needs.Nothing, call => Salvage(call, call.Get(directory), call.Get(to)!),
                directory, to);
    }

    private static int Salvage(Call call, string directory, string to)
    {
        var report = call.Watched("reading", (progress, cancellationToken) =>
            CairnDatabase.Salvage(directory, to, progress, cancellationToken));
        var json = Value.Object(
            ("complete", report.IsComplete),
            ("directory", to),
            ("checkpoint", Failures.Number(report.Checkpoint)),
            ("entries", report.Entries),
            ("past_versions", report.PastVersions),
            ("transactions", report.Transactions),
            ("runs", report.Runs),
            ("last_read", Failures.Number(report.LastRead)),
            ("last_written", Failures.Number(report.LastWritten)),
            ("dropped_operations", report.DroppedOperations),
            ("losses", Value.Array(report.Losses.Select(loss => Value.Object(
                ("file", loss.File), ("offset", loss.Offset), ("bytes", loss.Bytes), ("first_sequence",
                    Failures.Number(loss.FirstSequence)),
                ("last_sequence", Failures.Number(loss.LastSequence)), ("made_good", loss.IsMadeGood), ("history", loss.IsHistory),
                ("reason", loss.Reason))))),
            ("run_losses", Value.Array(report.RunLosses.Select(loss => Value.Object(("run", loss.Run.ToString()), ("text", loss.Text))))));
        call.Figures(json,
        [
            ("salvaged", $"{Show.Number(report.Transactions)} transactions, {Show.Number(report.Runs)} run(s), up to sequence "
                + $"{report.LastRead.Value} of the damaged database, {report.LastWritten.Value} here"),
            .. report.Checkpoint == Sequence.None ? [] : new[]
            {
                ("tables", $"{Show.Number(report.Entries)} key(s) from the checkpoint at sequence {report.Checkpoint.Value}, with new "
                    + $"versions"),
            },
            .. report.PastVersions == 0 ? [] : new[]
            {
                ("history", $"{Show.Number(report.PastVersions)} version(s) from archives and the log below the checkpoint"),
            },
            .. report.Losses.Select(loss => (
                loss.IsMadeGood ? "damaged" : loss.IsHistory ? "LOST history" : "LOST",
                $"{(loss.File.Length == 0 ? directory : loss.File)} at offset {loss.Offset}: {loss.Reason}"
                + (loss.FirstSequence == Sequence.None ? "" : $"; sequences {loss.FirstSequence.Value} to {loss.LastSequence.Value}"))),
            .. report.RunLosses.Select(loss => ("run", $"{loss.Run} lost {loss.Text}")),
            .. report.DroppedOperations == 0 ? [] : new[] { ("dropped", $"{Show.Number(report.DroppedOperations)} operation(s)") },
            .. report.IsComplete ? new[] { ("complete", "nothing of what it held was lost") } : [],
        ]);
        return report.IsComplete ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    private static (string Name, Value Value)[] Members(BackupInfo backup) =>
    [
        ("id", backup.Id),
        ("parent", backup.Parent is { } parent ? parent : Value.Null),
        ("database", backup.Database),
        ("sequence", Failures.Number(backup.Sequence)),
        ("time_us", Show.Microseconds(backup.Time)),
        ("created_us", Show.Microseconds(backup.Created)),
        ("files", backup.Files),
        ("bytes", backup.Bytes),
        ("own_bytes", backup.OwnBytes),
    ];

    private static byte[] ReadKey(string? file)
    {
        if (file is null)
            return [];
        var length = new FileInfo(file).Length;
        if (length > KeyBytesMax)
            throw RefusedException.Limit(nameof(KeyBytesMax), KeyBytesMax, length, "bytes in a key file");
        var key = File.ReadAllBytes(file);
        return key.Length > 0 ? key : throw new RefusedException(ErrorCode.InvalidArgument, $"{file} is empty; a key has at least 16 "
            + $"bytes.");
    }
}
