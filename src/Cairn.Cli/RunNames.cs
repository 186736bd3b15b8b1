namespace Cairn.Cli;

/// <summary>From the text of <c>--run</c> to a run.</summary>
internal static class RunNames
{
    internal static Run Find(CairnDatabase database, string text, bool begin) => text == "default"
        ? database.Default
        : throw new RefusedException(ErrorCode.NotFound, $"There is no run '{text}'{(begin ? "" : "")}.");
}
