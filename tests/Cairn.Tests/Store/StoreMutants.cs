using Xunit;

namespace Cairn.Tests.Store;

/// <summary>Which test catches which mutant of the room (reliability.md of the design, section 6). A run of the mutants builds with
/// CAIRN_MUTANTS, names one in CAIRN_MUTANT and expects that test to fail.</summary>
public class StoreMutants
{
    internal static readonly (string Mutant, Type Class, string Test)[] Caught =
    [
        ("store-no-epoch", typeof(StoreSweepTests), nameof(StoreSweepTests.A_reader_that_stays_keeps_what_it_borrowed)),
        ("store-sweep-ignores-pins", typeof(StoreSweepTests), nameof(StoreSweepTests.A_pinned_version_stays_and_its_neighbours_go)),
        ("store-sweep-ignores-visible", typeof(StoreModelTests), nameof(StoreModelTests.A_random_history_reads_like_the_oracle)),
        ("store-parked-for-ever", typeof(StoreSweepTests), nameof(StoreSweepTests.A_version_held_by_two_pins_stays_until_the_second_goes)),
        ("store-removes-key-too-early", typeof(StoreSweepTests), nameof(StoreSweepTests.A_deleted_key_leaves_both_indexes_once_no_reader_needs_it)),
        ("store-remove-clears-slot", typeof(StoreModelTests), nameof(StoreModelTests.A_random_history_reads_like_the_oracle)),
        ("store-take-no-recheck", typeof(SnapshotRegistryTests), nameof(SnapshotRegistryTests.A_pin_taken_while_the_word_moves_holds_what_it_names)),
        ("store-visible-no-recheck", typeof(StoreSoak), nameof(StoreSoak.Readers_of_few_hot_keys_and_a_writer_agree_for_a_while)),
        ("store-tree-no-validation", typeof(StoreSoak), nameof(StoreSoak.Readers_and_a_writer_agree_for_a_while)),
        ("forget-dirty", typeof(StoreResidencyTests), nameof(StoreResidencyTests.Nothing_dirty_is_forgotten)),
        ("forget-before-line", typeof(StoreResidencyTests),
            nameof(StoreResidencyTests.Nothing_is_forgotten_while_a_reader_from_before_the_image_is_inside)),
        ("tombstone-dropped-over-image", typeof(StoreResidencyTests),
            nameof(StoreResidencyTests.A_deletion_stays_in_memory_until_the_image_has_it)),
        ("image-read-before-memory", typeof(StoreResidencyTests), nameof(StoreResidencyTests.What_is_forgotten_is_read_from_the_newest_image)),
    ];

    [Fact]
    public void Each_mutant_of_the_room_names_a_test_that_exists() =>
        Assert.All(Caught, mutant => Assert.NotNull(mutant.Class.GetMethod(mutant.Test)));
}
