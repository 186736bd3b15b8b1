using Cairn.Codec;
using Cairn.Documents;

namespace Cairn;

/// <summary>JSON Merge Patch (RFC 7396, the successor of RFC 7386) over values. Works on values in memory; safe from any thread.</summary>
public static class MergePatch
{
    /// <summary>The target with the patch applied (RFC 7396, section 2): an Object is a patch of the members that it names, one member
    /// after the other; Null removes a member; any other patch takes the place of the target. Both values stay as they are.</summary>
    /// <param name="target">What is patched.</param>
    /// <param name="patch">The patch. A merge patch cannot set a member to Null: a JSON Patch can.</param>
    /// <param name="limits">The limits that the result keeps to; null for the defaults.</param>
    /// <exception cref="LimitException">The result passes a limit of a value.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a number in the result is not finite.</exception>
    public static Value Apply(Value target, Value patch, Limits? limits = null)
    {
        var result = Merging.Apply(target, patch);
        result.Measure.Check(limits ?? Limits.Defaults, FloatRule.Finite);
        return result;
    }
}
