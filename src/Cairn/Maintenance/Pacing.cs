// How often a job's step runs, from what waits for it: the law of adaptive pacing (MNT-3 to MNT-6).
//
//   u        smoothed backlog / capacity. The weight of a sample grows with the time since the one before it:
//            1 - (1 - a)^(dt / Interval), so that looking twice as often does not smooth half as long.
//
//   interval |max ________                                 u < 0.2           IntervalMax
//            |            |________________                to 0.7            Interval
//            |                             `-.._           above             Interval - (Interval - IntervalMin)(u - 0.7)/0.3,
//            |min                               `----      at least          IntervalMin
//            +------------|----------------|-----|----
//                        0.2              0.7    1
//
//            It is set anew only when u has moved by 0.05 from where it was set: a load at a border does not flicker.
//
//   ahead    a straight line through the samples of the window by least squares over their times; where it is in 10 s.
//            Above WarnAt there, or already: warned.
//
//   health   u < 0.3: 1   < 0.7: 1 - 1.25 (u - 0.3)   < 0.9: 0.5 - 1.5 (u - 0.7)   else max(0, 0.2 - 2 (u - 0.9))
//            above 0.8 Excellent, 0.5 Good, 0.2 Warning, else Critical.
//
// A sample that has the time of the one before takes its place: a step that took no time by the clock is no second sample.

namespace Cairn.Maintenance;

/// <summary>See the essay above. Thread-safe: a job's lane observes, anybody reads.</summary>
internal sealed class Pacing(MaintenanceOptions options, TimeProvider clock)
{
    internal static readonly TimeSpan Horizon = TimeSpan.FromSeconds(10);

    private const double Hysteresis = 0.05;

    private readonly Lock _gate = new();
    private readonly Sample[] _samples = new Sample[options.Window];
    private int _count;
    private int _newest = -1;
    private double _smoothed;
    private double _setFor = double.NaN;                     // the utilisation that the interval was set for
    private TimeSpan _interval = options.Interval;

    /// <summary>Takes a sample.</summary>
    /// <param name="now">Time stamp; never before the last one.</param>
    /// <param name="backlog">Items that wait.</param>
    /// <param name="capacity">Items at which the job is fully loaded; at least 1.</param>
    /// <param name="items">Items done so far.</param>
    internal PaceReading Observe(long now, long backlog, long capacity, long items)
    {
        Invariant.Check(backlog >= 0 && capacity >= 1, "a job has a backlog of 0 or more and a capacity of 1 or more");
        var load = (double)backlog / capacity;
        lock (_gate)
        {
            if (_count == 0)
            {
                _smoothed = load;
            }
            else
            {
                var passed = clock.GetElapsedTime(_samples[_newest].Time, now);
                var weight = 1 - Math.Pow(1 - options.Smoothing, passed / options.Interval);
                _smoothed += (load - _smoothed) * (Mutant.Is("pacing-by-look") ? options.Smoothing : weight);
            }

            if (_count == 0 || _samples[_newest].Time != now)
            {
                _newest = (_newest + 1) % _samples.Length;
                _count = Math.Min(_count + 1, _samples.Length);
            }

            _samples[_newest] = new Sample(now, load, backlog, capacity, items);
            SetInterval();
            return Read();
        }
    }

    /// <summary>As it was when a sample was taken last.</summary>
    internal PaceReading Reading
    {
        get
        {
            lock (_gate)
                return Read();
        }
    }

    internal long IntervalChanges { get; private set; }

    internal static double HealthOf(double utilisation) => utilisation switch
    {
        < 0.3 => 1,
        < 0.7 => 1 - 1.25 * (utilisation - 0.3),
        < 0.9 => 0.5 - 1.5 * (utilisation - 0.7),
        _ => Math.Max(0, 0.2 - 2 * (utilisation - 0.9)),
    };

    internal static JobRecommendation RecommendationOf(double health) => health switch
    {
        > 0.8 => JobRecommendation.Excellent,
        > 0.5 => JobRecommendation.Good,
        > 0.2 => JobRecommendation.Warning,
        _ => JobRecommendation.Critical,
    };

    /// <summary>The law without hysteresis.</summary>
    internal static TimeSpan IntervalOf(double utilisation, MaintenanceOptions options)
    {
        if (utilisation < 0.2)
            return options.IntervalMax;
        if (utilisation <= 0.7)
            return options.Interval;
        var interval = options.Interval - (options.Interval - options.IntervalMin) * Math.Min(1, (utilisation - 0.7) / 0.3);
        return interval < options.IntervalMin ? options.IntervalMin : interval;
    }

    private void SetInterval()
    {
        if (Math.Abs(_smoothed - _setFor) < Hysteresis && !Mutant.Is("pacing-flickers"))
            return;
        var isFirst = double.IsNaN(_setFor);
        _setFor = _smoothed;
        var interval = IntervalOf(_smoothed, options);
        if (interval != _interval && !isFirst)
            IntervalChanges++;
        _interval = interval;
    }

    private PaceReading Read()
    {
        if (_count == 0)
            return new PaceReading(0, 1, 0, _interval, 0, 0, false);
        ref readonly var newest = ref _samples[_newest];
        ref readonly var oldest = ref _samples[(_newest - _count + 1 + _samples.Length) % _samples.Length];
        var time = clock.GetElapsedTime(oldest.Time, newest.Time);
        var rate = time > TimeSpan.Zero ? (newest.Items - oldest.Items) / time.TotalSeconds : 0;
        var ahead = Math.Max(0, LoadAhead());
        return new PaceReading(
            newest.Backlog, newest.Capacity, _smoothed, _interval, rate, (long)Math.Min(ahead * newest.Capacity, long.MaxValue / 2),
            Math.Max(ahead, _smoothed) > options.WarnAt);
    }

    // Least squares, with times from their mean so that nothing is lost in large numbers.
    private double LoadAhead()
    {
        ref readonly var newest = ref _samples[_newest];
        double meanTime = 0, meanLoad = 0;
        for (var i = 0; i < _count; i++)
        {
            meanTime += SecondsBefore(newest.Time, _samples[i].Time);
            meanLoad += _samples[i].Load;
        }

        meanTime /= _count;
        meanLoad /= _count;
        double together = 0, spread = 0;
        for (var i = 0; i < _count; i++)
        {
            var time = SecondsBefore(newest.Time, _samples[i].Time) - meanTime;
            together += time * (_samples[i].Load - meanLoad);
            spread += time * time;
        }

        return spread == 0 ? newest.Load : meanLoad + together / spread * (Horizon.TotalSeconds - meanTime);
    }

    // At most 0.
    private double SecondsBefore(long newest, long time) => -clock.GetElapsedTime(time, newest).TotalSeconds;

    private readonly record struct Sample(long Time, double Load, long Backlog, long Capacity, long Items);
}

/// <summary>What the pacing of a job says at a moment.</summary>
internal readonly record struct PaceReading(
    long Backlog, long Capacity, double Utilisation, TimeSpan Interval, double ItemsPerSecond, long PredictedBacklog, bool IsWarned)
{
    /// <summary>What the backlog takes at the present rate; null when there is one and no rate.</summary>
    internal TimeSpan? EstimatedLag => Backlog == 0 ? TimeSpan.Zero
        : ItemsPerSecond <= 0 ? null
        : TimeSpan.FromSeconds(Math.Min(Backlog / ItemsPerSecond, TimeSpan.MaxValue.TotalSeconds / 2));
}
