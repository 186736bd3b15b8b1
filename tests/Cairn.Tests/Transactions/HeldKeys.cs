using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>Keys k0, k1... of the default run beside what each must hold.</summary>
internal static class HeldKeys
{
    /// <summary>Puts and deletes keys at random, in the database and in what is held.</summary>
    internal static void Change(TestDatabase test, Random random, int times, int keys, Dictionary<string, string> held)
    {
        for (var i = 0; i < times; i++)
        {
            var key = $"k{random.Next(keys)}";
            if (random.Next(4) == 0)
            {
                test.Kv.Delete(key);
                held.Remove(key);
            }
            else
            {
                held[key] = new string((char)('a' + random.Next(26)), random.Next(1, 200));
                test.Kv.Put(key, held[key]);
            }
        }
    }

    /// <summary>Each key is there as it is held, and no other is.</summary>
    internal static void Check(TestDatabase test, int keys, Dictionary<string, string> held)
    {
        for (var i = 0; i < keys; i++)
            Assert.Equal(held.GetValueOrDefault($"k{i}"), test.Kv.Text($"k{i}"));
        Assert.Equal(held.Keys.Order(StringComparer.Ordinal), test.Kv.List());
        Assert.Equal(held.Count, test.Kv.Count());
    }
}
