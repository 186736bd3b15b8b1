using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>What the items of a run's indexes do when a thing is written, changed or removed: a function of the operation and the store,
/// like all of <c>Apply</c>. What an operation comes to is found by the same code before the sequence, so that memory and keys are
/// there.</summary>
internal static class IndexMaintenance
{
    /// <summary>A thing that was not there has been written: its items are new too.</summary>
    internal static void Add(in ApplyContext context, IndexTarget target, ReadOnlySpan<byte> thingKey, in Value document)
    {
        foreach (var index in IndexSet.Of(context.Run).On(target))
        {
            if (!index.Has(thingKey))
                continue;
            foreach (var item in IndexItems.Of(index, thingKey, document))
                context.PutNew(item, default);
        }
    }

    /// <summary>A thing that was there is another now.</summary>
    internal static void Change(in ApplyContext context, IndexTarget target, ReadOnlySpan<byte> thingKey, in Value before, in Value after)
    {
        foreach (var index in IndexSet.Of(context.Run).On(target))
        {
            if (!index.Has(thingKey))
                continue;
            Change(context, IndexItems.Of(index, thingKey, before), IndexItems.Of(index, thingKey, after));
        }
    }

    /// <summary>A thing has other items in an index now.</summary>
    internal static void Change(in ApplyContext context, List<byte[]> before, List<byte[]> after)
    {
        var (gone, come) = IndexItems.Differences(before, after);
        foreach (var item in gone)
        {
            if (!Mutant.Is("index-item-not-removed"))
                context.Delete(item);
        }

        foreach (var item in come)
            context.Put(item, default);
    }

    /// <summary>Writes of <see cref="Add"/>.</summary>
    internal static WriteCount CountAdd(RunState run, IndexTarget target, ReadOnlySpan<byte> thingKey, in Value document)
    {
        var count = default(WriteCount);
        foreach (var index in IndexSet.Of(run).On(target))
        {
            if (index.Has(thingKey))
                count = count.And(IndexItems.Of(index, thingKey, document));
        }

        return count;
    }

    /// <summary>Writes when a thing becomes another, with their keys.</summary>
    internal static WriteCount CountChange(
        RunState run, IndexTarget target, ReadOnlySpan<byte> thingKey, in Value before, in Value after, StoreKeyVisitor? visit = null)
    {
        var count = default(WriteCount);
        foreach (var index in IndexSet.Of(run).On(target))
        {
            if (!index.Has(thingKey))
                continue;
            var (gone, come) = IndexItems.Differences(IndexItems.Of(index, thingKey, before), IndexItems.Of(index, thingKey, after));
            count = count.And(gone).And(come);
            foreach (var item in gone.Concat(come))
                visit?.Invoke(run.Store, item);
        }

        return count;
    }
}
