namespace Cairn.Diagnostics;

/// <summary>
/// Breaks the engine on purpose, so that each checker can be seen to catch it (reliability.md of the design, section 6).
/// Compiled in only with CAIRN_MUTANTS (<c>./test mutants</c>); in every other build <see cref="Is"/> is the constant false and
/// the branch vanishes. The list of mutants with the test that catches each is in <c>tests/Cairn.Tests/Mutants</c>.
/// </summary>
internal static class Mutant
{
#if CAIRN_MUTANTS
    internal static string Active { get; set; } = Environment.GetEnvironmentVariable("CAIRN_MUTANT") ?? "";

    internal static bool Is(string name) => Active == name;
#else
    internal static bool Is(string name) => false;
#endif
}
