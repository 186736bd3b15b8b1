namespace Cairn.Diagnostics;

/// <summary>A bounded piece of a long piece of work, written as an iterator: whoever drives it does something else in between, or
/// stops.</summary>
/// <param name="Bytes">Read or written in it; 0 when that is not what it did.</param>
internal readonly record struct Step(int Bytes);
