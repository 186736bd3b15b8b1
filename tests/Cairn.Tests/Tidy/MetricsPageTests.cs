using System.Diagnostics.Metrics;
using System.Text.RegularExpressions;
using Cairn.Diagnostics;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>docs/metrics.md and the instruments of an open database name the same.</summary>
[Trait("Requirement", "MET-1")]
public partial class MetricsPageTests
{
    [Fact]
    public void The_page_names_every_instrument_with_its_kind_and_unit()
    {
        var found = new SortedSet<string>(StringComparer.Ordinal);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name != Meters.Name)
                    return;
                var kind = instrument.GetType().Name.Contains("Counter", StringComparison.Ordinal) ? "counter" : "gauge";
                lock (found)
                    found.Add($"{instrument.Name} {kind} {instrument.Unit}");
            },
        };
        using var db = CairnDatabase.OpenInMemory(new CairnOptions(), new EngineHooks { IsMaintenanceManual = true });
        listener.Start();
        var named = Row().Matches(Repository.Read("docs/metrics.md"))
            .Select(row => $"{row.Groups[1].Value} {row.Groups[2].Value} {row.Groups[3].Value}").Order(StringComparer.Ordinal);
        lock (found)
            Assert.Equal(found, named);
    }

    [Fact]
    [Trait("Requirement", "MET-2")]
    public void The_page_names_every_class_of_operations()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions(), new EngineHooks { IsMaintenanceManual = true });
        var page = Repository.Read("docs/metrics.md");
        Assert.All(db.Metrics.Latencies.Keys, name => Assert.Contains($"`{name}`", page, StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^\| `(cairn\.[a-z_.]+)` \| (counter|gauge) \| `([^`]+)` \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
