using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>What the items of a run's indexes do when a thing is written, changed or removed: a function of the operation and the store,
/// like all of <c>Apply</c>. What an operation comes to is found by the same code before the sequence, so that memory and keys are
/// there.</summary>
internal static class IndexMaintenance
{
    /// <summary>A thing that was not there has been written: its items are new too.</summary>
    internal static void Add<TPlaces>(in ApplyContext context, IndexTarget target, ReadOnlySpan<byte> thingKey, TPlaces places)
        where TPlaces : IIndexedPlaces, allows ref struct
    {
        foreach (var index in IndexSet.Of(context.Run).On(target))
        {
            if (!index.Has(thingKey))
                continue;
            foreach (var item in IndexItems.Of(index, thingKey, places))
                context.PutNew(item, default);
        }
    }

    /// <summary>Writes of <see cref="Add"/>.</summary>
    internal static WriteCount CountAdd<TPlaces>(RunState run, IndexTarget target, ReadOnlySpan<byte> thingKey, TPlaces places)
        where TPlaces : IIndexedPlaces, allows ref struct
    {
        var count = default(WriteCount);
        foreach (var index in IndexSet.Of(run).On(target))
        {
            if (index.Has(thingKey))
                count = count.And(IndexItems.Of(index, thingKey, places));
        }

        return count;
    }

    /// <summary>The items of a thing as it is stored, in all indexes that have reached it.</summary>
    internal static void ItemsOf<TPlaces>(
        RunState run, IndexTarget target, ReadOnlySpan<byte> thingKey, TPlaces places, List<byte[]> items)
        where TPlaces : IIndexedPlaces, allows ref struct
    {
        foreach (var index in IndexSet.Of(run).On(target))
        {
            if (index.Has(thingKey))
                items.AddRange(IndexItems.Of(index, thingKey, places));
        }
    }

    /// <summary>What goes and what comes when a thing that is there becomes another.</summary>
    internal static (List<byte[]> Gone, List<byte[]> Come) Differences<TBefore, TAfter>(
        RunState run, IndexTarget target, ReadOnlySpan<byte> thingKey, TBefore before, TAfter after)
        where TBefore : IIndexedPlaces, allows ref struct
        where TAfter : IIndexedPlaces, allows ref struct
    {
        List<byte[]> gone = [], come = [];
        foreach (var index in IndexSet.Of(run).On(target))
        {
            if (!index.Has(thingKey))
                continue;
            var (less, more) = IndexItems.Differences(IndexItems.Of(index, thingKey, before), IndexItems.Of(index, thingKey, after));
            gone.AddRange(less);
            come.AddRange(more);
        }

        return (gone, come);
    }

    /// <summary>A thing has other items now; outside of a reader.</summary>
    internal static void Change(in ApplyContext context, (List<byte[]> Gone, List<byte[]> Come) items)
    {
        foreach (var item in items.Gone)
        {
            if (!Mutant.Is("index-item-not-removed"))
                context.Delete(item);
        }

        foreach (var item in items.Come)
            context.Put(item, default);
    }

    /// <inheritdoc cref="Change(in ApplyContext, ValueTuple{List{byte[]}, List{byte[]}})"/>
    internal static void Change(in ApplyContext context, List<byte[]> before, List<byte[]> after) =>
        Change(context, IndexItems.Differences(before, after));

    /// <summary>Writes of <see cref="Change(in ApplyContext, ValueTuple{List{byte[]}, List{byte[]}})"/>, with their keys.</summary>
    internal static WriteCount Count((List<byte[]> Gone, List<byte[]> Come) items, RunState run, StoreKeyVisitor? visit)
    {
        if (visit is not null)
        {
            foreach (var item in items.Gone)
                visit(run.Store, item);
            foreach (var item in items.Come)
                visit(run.Store, item);
        }

        return default(WriteCount).And(items.Gone).And(items.Come);
    }
}
