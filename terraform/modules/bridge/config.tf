# The configuration that the bridge reads, and what can be said of it before it is applied.

locals {
  # By the names of the files in the secret.
  tls_keys = { "ca.crt" = "ca_file", "bridge.crt" = "cert_file", "bridge.key" = "key_file", "ca.crl" = "crl_file" }
  tls_given = [for file in sort(var.secret_files) :
    "${local.tls_keys[file]} = \"${local.bridge_files}/${file}\"" if contains(keys(local.tls_keys), file)
  ]

  mappings = templatefile(var.mappings_file, {
    functions      = { for name, function in var.functions : name => function.arn }
    failure_queue  = module.failures.url
    failure_bucket = "s3://${aws_s3_bucket.failures.bucket}/${local.letters_prefix}"
  })

  bridge_config = templatefile("${path.module}/templates/bridge.toml.tftpl", {
    broker                = var.broker
    drain_timeout_seconds = var.drain_timeout_seconds
    namespace             = var.name
    password_file         = contains(var.secret_files, "bridge.password") ? "${local.bridge_files}/bridge.password" : null
    retiring              = jsonencode([for index in sort(var.replicas.retiring) : "bridge-${var.name}-${index}"])
    tls                   = join(", ", local.tls_given)
    mappings              = local.mappings
  })

  broker_ports = var.broker.ports != null ? var.broker.ports : [for url in var.broker.urls :
    tonumber(try(regex("^[a-z]+://[^/:]+:([0-9]+)", url)[0], startswith(url, "wss:") ? 443 : 8883))
  ]

  # Of the file itself, which a plan knows before the functions are there: a filter, or a list of them.
  written = file(var.mappings_file)
  topic_filters = flatten([
    for value in flatten(regexall("(?m)^\\s*topic_filter\\s*=\\s*(\"[^\"]*\"|'[^']*'|\\[[^\\]]*\\])", local.written)) :
    flatten(regexall("[\"']([^\"']*)[\"']", value))
  ])

  # Each mapping with its function's name and its concurrency, of which 64 is the bridge's default.
  tables = slice(split("[[mapping]]", local.written), 1, length(split("[[mapping]]", local.written)))
  invoked = [for table in local.tables : {
    function    = try(regex("(?m)^\\s*function\\s*=\\s*[\"']\\$\\{functions(?:\\.|\\[\")([A-Za-z0-9_-]+)", table)[0], null)
    concurrency = try(tonumber(regex("(?m)^\\s*concurrency\\s*=\\s*([0-9]+)", table)[0]), 64)
  }]

  # How many executions of each function there may be at once, where that is known to be too many.
  at_once = { for name, function in var.functions : name =>
    sum(concat([0], [for mapping in local.invoked : mapping.concurrency * var.replicas.count if mapping.function == name]))
  }
  too_few = [for name, function in var.functions :
    "`${name}` allows ${function.reserved_concurrency} executions at once, and the mappings may ask for ${local.at_once[name]}"
    if function.reserved_concurrency != null && local.at_once[name] > coalesce(function.reserved_concurrency, 0)
  ]
}
