using System.Runtime.CompilerServices;

namespace Cairn.Diagnostics;

/// <summary>
/// Named places where tests may stop, fail or reorder the engine: one at each durable step and each change of state, and the rare but
/// legal turns of a path. docs/hooks.md lists them; a test compares.
/// </summary>
/// <remarks>
/// Off in every program that does not switch <c>Cairn.Failpoints</c> on in its runtime configuration, as the test programs do. Off costs
/// nothing: the switch is a static readonly field, which the compiled code of hot methods has as a constant, so call and name vanish.
/// On, a place does something only where a test has called <see cref="Use"/>; that holds for the threads that are started from there too,
/// and for no test beside it.
/// </remarks>
internal static class Failpoint
{
    internal static readonly bool IsOn = AppContext.TryGetSwitch("Cairn.Failpoints", out var isOn) && isOn;

    private static readonly AsyncLocal<FailpointPlan?> Current = new();
    private static int _plans;

    /// <summary>Here something has just become so, or is about to: another thread may come between, or the process may end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Hit(string name)
    {
        if (IsOn)
            Strike(name, isWait: false);
    }

    /// <summary>Here only another thread can bring this one on: it is about to block, or goes round once more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Wait(string name)
    {
        if (IsOn)
            Strike(name, isWait: true);
    }

    /// <summary>True: take the rare turn, which must be as right as the usual one.</summary>
    /// <param name="p">How often under a plan that does not say otherwise, from 0 to 1. Never without a plan.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Rarely(string name, double p) => IsOn && Happens(name, p);

    /// <summary>Puts a plan into force for what runs in this flow of control, until the result is disposed.</summary>
    /// <exception cref="InvalidOperationException">Failpoints are off in this program.</exception>
    internal static IDisposable Use(FailpointPlan plan)
    {
        if (!IsOn)
            throw new InvalidOperationException("Failpoints are off: this program does not switch Cairn.Failpoints on.");
        return new Scope(plan);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Strike(string name, bool isWait)
    {
        if (Volatile.Read(ref _plans) == 0 || Current.Value is not { } plan)
            return;
        if (isWait)
            plan.Wait(name);
        else
            plan.Hit(name);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Happens(string name, double p) =>
        Volatile.Read(ref _plans) != 0 && Current.Value is { } plan && plan.Happens(name, p);

    private sealed class Scope : IDisposable
    {
        private readonly FailpointPlan? _before = Current.Value;

        internal Scope(FailpointPlan plan)
        {
            Current.Value = plan;
            Interlocked.Increment(ref _plans);
        }

        public void Dispose()
        {
            Current.Value = _before;
            Interlocked.Decrement(ref _plans);
        }
    }
}

/// <summary>What a test wants to happen at failpoints: nothing, unless it is overridden. Called by any thread, on the spot: it may
/// throw, end the process, or hold the thread.</summary>
internal abstract class FailpointPlan
{
    internal virtual void Hit(string name)
    {
    }

    internal virtual void Wait(string name)
    {
    }

    internal virtual bool Happens(string name, double p) => false;
}
