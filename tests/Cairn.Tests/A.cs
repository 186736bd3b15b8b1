namespace Cairn.Tests;
public class A { [Xunit.Fact] public void B() { } }
