using System.Globalization;

namespace Cairn;

/// <summary>How background work is paced, checked at open: a value out of its range is refused by name.</summary>
public sealed record MaintenanceOptions
{
    /// <summary>Time between two steps of a job whose load is ordinary (20 % to 70 %). Default 10 ms; from
    /// <see cref="IntervalMin"/> to <see cref="IntervalMax"/>.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Time between two steps of a job that is overloaded. Default 1 ms; above 0.</summary>
    public TimeSpan IntervalMin { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Time between two steps of a job with little to do (below 20 %). Default 100 ms; at most 10 s. A job with nothing to do is
    /// looked at once a second, and when it is woken.</summary>
    public TimeSpan IntervalMax { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Weight of a new sample of the backlog that is <see cref="Interval"/> younger than the one before; by wall time, so that it
    /// does not matter how often a job is looked at. Default 0.3; above 0, at most 1 (no smoothing).</summary>
    public double Smoothing { get; init; } = 0.3;

    /// <summary>Samples that a prediction and a rate rest on. Default 50; from 2 to 10,000.</summary>
    public int Window { get; init; } = 50;

    /// <summary>Most items that one step takes. Default 10,000; from 1 to 10,000.</summary>
    public int BatchMax { get; init; } = 10_000;

    /// <summary>A job whose utilisation will pass this within 10 s is warned of. Default 0.7; above 0, at most 1.</summary>
    public double WarnAt { get; init; } = 0.7;

    /// <summary>Every file that never changes (an ended segment of the log, a table, an archive) is read and compared with its digest
    /// within this time. Default 7 days; from 1 minute to 365 days.</summary>
    public TimeSpan ScrubPeriod { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Most bytes that scrubbing reads in a second, however much there is to read. Default 10 MiB; from 64 KiB to 1 GiB.</summary>
    public long ScrubBytesPerSecond { get; init; } = 10 << 20;

    /// <summary>Reads settings from text such as <c>interval=10ms, smoothing=0.3, batch-max=5000</c>: names as the properties here, in
    /// lower case with hyphens; times in <c>ms</c> or <c>s</c>. What is not named keeps its default.</summary>
    /// <param name="settings">Pairs of name and value, separated by commas; may be empty.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a name that is unknown or given twice, or a value that
    /// cannot be read; the text names it. Ranges are checked at open.</exception>
    public static MaintenanceOptions Parse(string settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var options = new MaintenanceOptions();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var setting in settings.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = setting.IndexOf('=', StringComparison.Ordinal);
            var name = (equals < 0 ? setting : setting[..equals]).TrimEnd();
            var value = equals < 0 ? "" : setting[(equals + 1)..].TrimStart();
            if (!seen.Add(name))
                throw Refused($"The maintenance setting {name} is given twice.");
            options = name switch
            {
                "interval" => options with { Interval = Time(name, value) },
                "interval-min" => options with { IntervalMin = Time(name, value) },
                "interval-max" => options with { IntervalMax = Time(name, value) },
                "smoothing" => options with { Smoothing = Share(name, value) },
                "window" => options with { Window = Count(name, value) },
                "batch-max" => options with { BatchMax = Count(name, value) },
                "warn-at" => options with { WarnAt = Share(name, value) },
                "scrub-period" => options with { ScrubPeriod = Time(name, value) },
                "scrub-bytes-per-second" => options with { ScrubBytesPerSecond = Count(name, value) },
                _ => throw Refused(
                    $"There is no maintenance setting {name}; there are interval, interval-min, interval-max, smoothing, window, "
                    + "batch-max, warn-at, scrub-period and scrub-bytes-per-second."),
            };
        }

        return options;
    }

    private static TimeSpan Time(string name, string value)
    {
        var (number, unit) = value.EndsWith("ms", StringComparison.Ordinal) ? (value[..^2], TimeSpan.TicksPerMillisecond)
            : value.EndsWith('s') ? (value[..^1], TimeSpan.TicksPerSecond)
            : ("", 0L);
        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var read)
            || !(read * unit < long.MaxValue))
            throw Unreadable(name, value, "a time such as 10ms or 0.5s");
        return TimeSpan.FromTicks((long)Math.Round(read * unit));
    }

    private static double Share(string name, string value) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var read) && double.IsFinite(read)
            ? read
            : throw Unreadable(name, value, "a share such as 0.7");

    private static int Count(string name, string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var read)
            ? read
            : throw Unreadable(name, value, "a whole number");

    private static CairnException Unreadable(string name, string value, string expected) =>
        Refused($"The maintenance setting {name} is \"{value}\", which cannot be read; it must be {expected}.");

    private static CairnException Refused(string text) => new(ErrorCode.InvalidArgument, text);
}
