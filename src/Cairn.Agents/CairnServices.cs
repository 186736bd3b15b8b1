using Cairn.Diagnostics;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;

namespace Cairn.Agents;

/// <summary>Databases as services of an application. Each is opened when it is first asked for, and closed with the container.</summary>
public static class CairnServices
{
    private const string CacheTag = "cairn.cache";

    /// <summary>Adds a <see cref="CairnDatabase"/>. Adding it again configures the same one further.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Says where it is and how it is opened; null = it is configured elsewhere.</param>
    /// <returns>For more configuration. The options are validated when the application starts: directory, ranges and limits.</returns>
    public static OptionsBuilder<CairnServiceOptions> AddCairn(
        this IServiceCollection services, Action<CairnServiceOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(provider => Open(provider, Options.DefaultName));
        return Configure(services, Options.DefaultName, configure);
    }

    /// <summary>Adds a <see cref="CairnDatabase"/> under a key; several may stand beside each other.</summary>
    /// <param name="services">The services.</param>
    /// <param name="key">What it is asked for by: <c>[FromKeyedServices("memory")]</c>. Also the name of its options. Not empty.</param>
    /// <param name="configure">As of <see cref="AddCairn"/>.</param>
    /// <inheritdoc cref="AddCairn" path="/returns"/>
    public static OptionsBuilder<CairnServiceOptions> AddKeyedCairn(
        this IServiceCollection services, string key, Action<CairnServiceOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(key);
        services.TryAddKeyedSingleton(key, (provider, _) => Open(provider, key));
        return Configure(services, key, configure);
    }

    /// <summary>Adds an <see cref="IDistributedCache"/> in a run of a database that was added: see
    /// <see cref="CairnDistributedCache"/>. A run that is not there is begun, with the tag <c>cairn.cache</c>, and keeps of each key the
    /// newest version alone. One that is there stays as it is.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Which run; null = the defaults.</param>
    public static OptionsBuilder<CairnCacheOptions> AddCairnCache(
        this IServiceCollection services, Action<CairnCacheOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton<IDistributedCache>(provider => MakeCache(provider, Options.DefaultName));
        return Configure(services, Options.DefaultName, configure);
    }

    /// <summary>Adds an <see cref="IDistributedCache"/> under a key.</summary>
    /// <param name="services">The services.</param>
    /// <param name="key">What it is asked for by, and the name of its options. Not empty.</param>
    /// <param name="configure">Which run; null = the defaults.</param>
    public static OptionsBuilder<CairnCacheOptions> AddKeyedCairnCache(
        this IServiceCollection services, string key, Action<CairnCacheOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(key);
        services.TryAddKeyedSingleton<IDistributedCache>(key, (provider, _) => MakeCache(provider, key));
        return Configure(services, key, configure);
    }

    private static OptionsBuilder<CairnServiceOptions> Configure(
        IServiceCollection services, string name, Action<CairnServiceOptions>? configure)
    {
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<CairnServiceOptions>, ServiceRules>());
        var builder = services.AddOptions<CairnServiceOptions>(name).ValidateOnStart();
        return configure is null ? builder : builder.Configure(configure);
    }

    private static OptionsBuilder<CairnCacheOptions> Configure(
        IServiceCollection services, string name, Action<CairnCacheOptions>? configure)
    {
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<CairnCacheOptions>, CacheRules>());
        var builder = services.AddOptions<CairnCacheOptions>(name).ValidateOnStart();
        return configure is null ? builder : builder.Configure(configure);
    }

    private static CairnDatabase Open(IServiceProvider provider, string name)
    {
        var options = provider.GetRequiredService<IOptionsMonitor<CairnServiceOptions>>().Get(name);
        return options.Directory is { } directory
            ? CairnDatabase.Open(directory, options.Database)
            : CairnDatabase.OpenInMemory(options.Database);
    }

    private static CairnDistributedCache MakeCache(IServiceProvider provider, string name)
    {
        var options = provider.GetRequiredService<IOptionsMonitor<CairnCacheOptions>>().Get(name);
        var database = options.DatabaseKey is { } key
            ? provider.GetRequiredKeyedService<CairnDatabase>(key)
            : provider.GetRequiredService<CairnDatabase>();
        if (!database.Runs.TryGet(options.Run, out var run))
            run = database.Runs.Begin(options.Run, tags: [CacheTag]);

        // A commit of its own. Who died before it left the tag, and a cache that keeps all it ever had would grow for ever.
        if (run.Retention.Own is null && !database.Options.IsReadOnly && run.Info.Tags.Contains(CacheTag)
            && !Mutant.Is("cache-keeps-all"))
        {
            run.Retention.Apply(Retention.KeepLast(1));
        }

        return new CairnDistributedCache(run, database.Options.TimeProvider, options.Prefix);
    }

    // Everything that is wrong is told at once.
    private sealed class ServiceRules : IValidateOptions<CairnServiceOptions>
    {
        public ValidateOptionsResult Validate(string? name, CairnServiceOptions options)
        {
            var which = string.IsNullOrEmpty(name) ? "Cairn" : $"Cairn '{name}'";
            if (options.Database is null)
                return ValidateOptionsResult.Fail($"{which}: Database is null. Leave it out for the defaults.");
            var wrong = new List<string>();
            var isInMemory = options.Database.Durability == Durability.InMemory;
            if (options.Directory is null != isInMemory)
            {
                wrong.Add(isInMemory
                    ? $"{which}: Durability is InMemory, which has no directory, and Directory is '{options.Directory}'. Leave one out."
                    : $"{which}: Directory is missing. Say where the database is, or set Durability to InMemory.");
            }
            else if (options.Directory is { } directory && string.IsNullOrWhiteSpace(directory))
            {
                wrong.Add($"{which}: Directory is empty. Say where the database is.");
            }

            try
            {
                options.Database.Validate();
            }
            catch (Exception refused) when (refused is CairnException or ArgumentException)
            {
                wrong.Add($"{which}: {refused.Message}");
            }

            return wrong.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(wrong);
        }
    }

    private sealed class CacheRules : IValidateOptions<CairnCacheOptions>
    {
        public ValidateOptionsResult Validate(string? name, CairnCacheOptions options)
        {
            var which = string.IsNullOrEmpty(name) ? "Cairn's cache" : $"Cairn's cache '{name}'";
            if (string.IsNullOrEmpty(options.Run))
                return ValidateOptionsResult.Fail($"{which}: Run is empty. Name a run.");
            return options.Prefix is null
                ? ValidateOptionsResult.Fail($"{which}: Prefix is null. Leave it empty for none.")
                : ValidateOptionsResult.Success;
        }
    }
}

/// <summary>A database as a service.</summary>
public sealed class CairnServiceOptions
{
    /// <summary>Its directory; null for a database in memory.</summary>
    public string? Directory { get; set; }

    /// <summary>How it is opened. With a directory not <see cref="Durability.InMemory"/>, without one that.</summary>
    public CairnOptions Database { get; set; } = new();
}

/// <summary>A cache as a service.</summary>
public sealed class CairnCacheOptions
{
    /// <summary>Name of the run that holds it. Default <c>cache</c>.</summary>
    public string Run { get; set; } = "cache";

    /// <summary>Begins every key. Default nothing.</summary>
    public string Prefix { get; set; } = "";

    /// <summary>Key of the database (<see cref="CairnServices.AddKeyedCairn"/>); null = the one without a key.</summary>
    public string? DatabaseKey { get; set; }
}
