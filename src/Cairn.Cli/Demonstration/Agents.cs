using System.Diagnostics;
using Cairn.Cli.SweAgent;

namespace Cairn.Cli.Demonstration;

/// <summary>The process that the demo kills: agents that take turns, one commit each, and a line on standard output for each commit
/// once it was acknowledged. In the demo's parent the same type is the other end of that pipe.</summary>
internal static class Agents
{
    internal const string VerbName = "demo-agents";

    // Chosen: real agents wait for models and tools; without a pause the child would be done before the kill reaches it.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>In the child: works until it is killed or everything is in.</summary>
    internal static void Work(CairnDatabase database, IReadOnlyList<Trajectory> sources, TextWriter output)
    {
        var imports = new List<TrajectoryImport>();
        foreach (var source in sources)
        {
            imports.Add(TrajectoryImport.Begin(database, source));
            Acknowledge(output, database.Sequence);
        }

        for (var working = true; working;)
        {
            working = false;
            foreach (var import in imports)
            {
                if (!import.MoveNext(out var sequence))
                    continue;
                working = true;
                Acknowledge(output, sequence);
                Thread.Sleep(Pause);
            }
        }
    }

    private static void Acknowledge(TextWriter output, Sequence sequence)
    {
        output.WriteLine(sequence.Value);
        output.Flush();
    }

    /// <summary>In the parent: starts the child, kills it after so many acknowledgements, and returns all that arrived.</summary>
    internal static AgentsResult RunAndKill(string directory, IReadOnlyList<string> files, int killAfter)
    {
        var start = ChildProcess.Of([VerbName, .. files, "--db", directory]);
        var began = Stopwatch.GetTimestamp();
        using var child = Process.Start(start) ?? throw new IOException("The demo's child process did not start.");
        var acknowledged = 0;
        var last = 0UL;
        while (child.StandardOutput.ReadLine() is { } line)
        {
            // A line that the kill cut in two ends the pipe and is no acknowledgement.
            if (!ulong.TryParse(line, out var sequence))
                continue;
            acknowledged++;
            last = sequence;
            if (acknowledged == killAfter)
                child.Kill();      // SIGKILL: nothing in the child runs any more
        }

        var complaints = child.StandardError.ReadToEnd();
        child.WaitForExit();
        if (acknowledged < killAfter)
            throw new IOException($"The demo's child process ended by itself with exit code {child.ExitCode}: {complaints.Trim()}");
        return new AgentsResult(child.Id, acknowledged, last, child.ExitCode, Stopwatch.GetElapsedTime(began));
    }
}

/// <summary>What came of the child.</summary>
/// <param name="Pid">Its process id.</param>
/// <param name="Acknowledged">Acknowledgements that came through the pipe.</param>
/// <param name="LastSequence">The last of them.</param>
/// <param name="ExitCode">128 + the signal.</param>
/// <param name="Time">From its start to its end.</param>
internal sealed record AgentsResult(int Pid, int Acknowledged, ulong LastSequence, int ExitCode, TimeSpan Time);
