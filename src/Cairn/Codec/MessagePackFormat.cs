namespace Cairn.Codec;

/// <summary>The lead bytes of MessagePack (specification of 2017, msgpack/spec.md) that canonical values use, and the bounds of the
/// forms that carry their number in the lead byte itself. What is not here (Float32 CA, extensions C7-C9 and D4-D8, the unused C1)
/// is no value.</summary>
internal static class MessagePackFormat
{
    internal const byte FixObject = 0x80;
    internal const byte FixArray = 0x90;
    internal const byte FixString = 0xA0;
    internal const byte Null = 0xC0;
    internal const byte Unused = 0xC1;
    internal const byte False = 0xC2;
    internal const byte True = 0xC3;
    internal const byte Bytes8 = 0xC4;
    internal const byte Bytes16 = 0xC5;
    internal const byte Bytes32 = 0xC6;
    internal const byte Float32 = 0xCA;
    internal const byte Float64 = 0xCB;
    internal const byte UInt8 = 0xCC;
    internal const byte UInt16 = 0xCD;
    internal const byte UInt32 = 0xCE;
    internal const byte UInt64 = 0xCF;
    internal const byte Int8 = 0xD0;
    internal const byte Int16 = 0xD1;
    internal const byte Int32 = 0xD2;
    internal const byte Int64 = 0xD3;
    internal const byte String8 = 0xD9;
    internal const byte String16 = 0xDA;
    internal const byte String32 = 0xDB;
    internal const byte Array16 = 0xDC;
    internal const byte Array32 = 0xDD;
    internal const byte Object16 = 0xDE;
    internal const byte Object32 = 0xDF;
    internal const byte NegativeFixInt = 0xE0;

    internal const int FixCountMax = 15;
    internal const int FixStringMax = 31;
    internal const int FixIntMax = 127;
    internal const int FixIntMin = -32;
}
