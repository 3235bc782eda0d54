# bash completion of llm-metrics-proxy; made from its verbs by `llm-metrics-proxy completion bash`.
#   eval "$(llm-metrics-proxy completion bash)"        in ~/.bashrc, or this file in a folder of bash-completion

_llm_metrics_proxy_paths() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$cur"))
}

_llm_metrics_proxy_words() {
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}

_llm_metrics_proxy() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= word words= i
  # bash takes --flag=value apart at =
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $verb/$word in
      /serve) verb=serve ;;
      /proxy) verb=proxy ;;
      /metrics) verb=metrics ;;
      /demo) verb=demo ;;
      /init) verb=init ;;
      /reload) verb=reload ;;
      /requests) verb=requests ;;
      /summary) verb=summary ;;
      /query) verb=query ;;
      /changes) verb=changes ;;
      /costs) verb=costs ;;
      /errors) verb=errors ;;
      /limits) verb=limits ;;
      /servers) verb=servers ;;
      /top) verb=top ;;
      /export) verb=export ;;
      /report) verb=report ;;
      /mcp) verb=mcp ;;
      /reprice) verb=reprice ;;
      /compact) verb=compact ;;
      /doctor) verb=doctor ;;
      /support-bundle) verb=support-bundle ;;
      /upgrade-check) verb=upgrade-check ;;
      /completion) verb=completion ;;
      /version) verb=version ;;
      /config) verb=config ;;
      config/check) verb=config\ check ;;
      /migrate) verb=migrate ;;
      migrate/status) verb=migrate\ status ;;
      migrate/plan) verb=migrate\ plan ;;
      migrate/run) verb=migrate\ run ;;
      migrate/undo) verb=migrate\ undo ;;
      migrate/forget) verb=migrate\ forget ;;
      migrate/verify) verb=migrate\ verify ;;
      migrate/history) verb=migrate\ history ;;
      migrate/notices) verb=migrate\ notices ;;
      /backup) verb=backup ;;
      backup/create) verb=backup\ create ;;
      backup/list) verb=backup\ list ;;
      backup/verify) verb=backup\ verify ;;
      backup/restore) verb=backup\ restore ;;
      /store) verb=store ;;
      store/copy) verb=store\ copy ;;
      /sessions) verb=sessions ;;
      sessions/list) verb=sessions\ list ;;
      sessions/show) verb=sessions\ show ;;
    esac
  done
  case $verb$prev in
    *--agent-id|*--allow-paths|*--allowed-hosts|*--allowed-origins|*--api-key-id|*--app|*--backend|*--backend-name|*--backup-keep|*--batch-lock-ms|*--body-min-bytes-per-s|*--body-timeout-s|*--bucket|*--by|*--cache-miss-reason|*--columns|*--connect-timeout-s|*--drain-timeout-s|*--eject-after-failures|*--error-phase|*--error-type|*--examples|*--fault-rate|*--first-byte-timeout-s|*--from|*--from-host|*--header-timeout-s|*--host|*--host-name|*--identity-agent-id|*--identity-app|*--identity-hash|*--identity-not-stored|*--identity-parent-agent-id|*--identity-session-id|*--identity-user|*--idle-timeout-s|*--ingest-batch-rows|*--ingest-interval-ms|*--interval|*--journal-fsync-interval-s|*--journal-max-bytes|*--journal-segment-bytes|*--keepalive-timeout-s|*--limit|*--lines|*--max-body-bytes|*--max-buffered-bytes|*--max-connections|*--max-header-bytes|*--max-header-count|*--max-seconds|*--max-upload-bytes|*--metrics|*--metrics-host|*--metrics-nice|*--metrics-port|*--metrics-token|*--migration-batch-lock-ms|*--migration-pause-ms|*--migration-undo-days|*--migration-window|*--model|*--models-timeout-s|*--order|*--origin|*--otlp-endpoint|*--otlp-headers|*--otlp-metrics-interval-s|*--outcome|*--parent-agent-id|*--pause-ms|*--port|*--probe-interval-s|*--probe-path|*--probe-timeout-s|*--prometheus-model-limit|*--quota-status|*--rate-per-s|*--rename|*--retention-days|*--retention-max-bytes|*--sample|*--seed|*--send-timeout-s|*--server-metrics-days|*--server-metrics-interval-s|*--session-id|*--session-source|*--since|*--slo|*--speed|*--status|*--store|*--store-backup|*--store-cluster|*--store-outbox-bytes|*--tag|*--timeout-s|*--timezone|*--to|*--trace-id|*--traffic-to|*--trusted-proxies|*--undo|*--until|*--upstream-host-header|*--upstream-keepalive-s|*--upstream-max-connections|*--upstream-max-idle|*--url|*--user|*--user-agent|*--watch-interval-s|*--week-start|*--where|*--window|*--workers) :; return ;;
    *--backup-dir|*--data-dir|*--journal-dir) _llm_metrics_proxy_paths -d; return ;;
    *--config|*--db|*--db-path|*--log|*--output|*--store-ca-file|*--store-password-file|*--unit|*--upstream-ca-file|*-o) _llm_metrics_proxy_paths -f; return ;;
    *--gpu-metrics) _llm_metrics_proxy_words 'auto on off'; return ;;
    *--metrics-role) _llm_metrics_proxy_words 'both ingest read'; return ;;
    *--log-level) _llm_metrics_proxy_words 'debug info warning error'; return ;;
    *--journal-when-full) _llm_metrics_proxy_words 'drop_records refuse_requests'; return ;;
    report--format) _llm_metrics_proxy_words 'html md json'; return ;;
    *--journal-fsync) _llm_metrics_proxy_words 'interval always never'; return ;;
    export--format) _llm_metrics_proxy_words 'jsonl csv parquet'; return ;;
    *--server-metrics) _llm_metrics_proxy_words 'local all off'; return ;;
    *--reach) _llm_metrics_proxy_words 'machine clients all'; return ;;
    *--retry-unsafe) _llm_metrics_proxy_words 'never unsent stale'; return ;;
    *--error-category) _llm_metrics_proxy_words 'request auth limit policy upstream network stream client proxy unknown'; return ;;
    *--log-format) _llm_metrics_proxy_words 'text json'; return ;;
  esac
  local settings='--host --port --allowed-hosts --allowed-origins --metrics-host --metrics-port --metrics-token --insecure --no-insecure --backend --upstream-ca-file --upstream-host-header --upstream-tls-verify --no-upstream-tls-verify --allow-paths --allow-all-paths --no-allow-all-paths --inject-usage --no-inject-usage --retry-unsafe --eject-after-failures --probe-path --probe-interval-s --probe-timeout-s --models-timeout-s --server-metrics --server-metrics-interval-s --server-metrics-days --gpu-metrics --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --store-outbox-bytes --host-name --store-backup --backup-dir --backup-keep --retention-days --retention-max-bytes --auto-migrate --no-auto-migrate --migration-batch-lock-ms --migration-undo-days --migration-pause-ms --migration-window --journal-dir --journal-fsync --journal-fsync-interval-s --journal-segment-bytes --journal-max-bytes --journal-when-full --workers --drain-timeout-s --metrics-nice --metrics-role --ingest-batch-rows --ingest-interval-ms --max-connections --max-header-bytes --max-header-count --max-body-bytes --max-buffered-bytes --max-upload-bytes --upstream-max-connections --upstream-max-idle --header-timeout-s --body-timeout-s --body-min-bytes-per-s --keepalive-timeout-s --connect-timeout-s --first-byte-timeout-s --idle-timeout-s --send-timeout-s --upstream-keepalive-s --record-client-address --no-record-client-address --record-usage-reported --no-record-usage-reported --trusted-proxies --identity-app --identity-session-id --identity-agent-id --identity-parent-agent-id --identity-user --identity-hash --identity-not-stored --prometheus-model-limit --otlp-endpoint --otlp-headers --otlp-traces --no-otlp-traces --otlp-metrics --no-otlp-metrics --otlp-logs --no-otlp-logs --otlp-metrics-interval-s --public-prices --no-public-prices --watch-interval-s --log-level --log-format'
  case $verb in
    '') words="serve proxy metrics demo init reload requests summary query changes costs errors limits servers top export report mcp reprice compact doctor support-bundle upgrade-check completion version config migrate backup store sessions --help -h" ;;
    serve) words="--demo-traffic --no-demo-traffic --config --help -h $settings" ;;
    proxy) words="--config --help -h $settings" ;;
    metrics) words="--config --help -h $settings" ;;
    demo) words="--host --port --seed --speed --fault-rate --traffic-to --rate-per-s --help -h" ;;
    init) words="--output -o --backend --reach --service --no-service --unit --yes -y --force --help -h" ;;
    reload) words="--json --timeout-s --config --data-dir --help -h" ;;
    requests) words="--limit --order --follow -f --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    summary) words="--json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    query) words="--metrics --by --bucket --timezone --week-start --order --limit --compare --slo --explain --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    changes) words="--timezone --limit --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    costs) words="--by --timezone --limit --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    errors) words="--examples --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    limits) words="--all --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    servers) words="--since --until --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    top) words="--url --window --interval --once --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --metrics-token --data-dir --db-path --help -h" ;;
    export) words="--output -o --format --columns --bom --force --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    report) words="--output -o --format --timezone --force --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    mcp) words="--url --config --metrics-host --metrics-port --metrics-token --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    reprice) words="--missing --undo --dry-run --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --public-prices --no-public-prices --help -h" ;;
    compact) words="--backup --no-backup --db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --backup-dir --backup-keep --help -h" ;;
    doctor) words="--deep --json --config --help -h $settings" ;;
    support-bundle) words="--output -o --log --lines --force --json --config --help -h $settings" ;;
    upgrade-check) [[ $cur == -* ]] || { _llm_metrics_proxy_paths -f; return; }; words="--json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --backup-dir --help -h" ;;
    completion) words="bash zsh fish --help -h" ;;
    version) words="--json --help -h" ;;
    config) words="check --help -h" ;;
    config\ check) words="--json --config --help -h $settings" ;;
    migrate) words="status plan run undo forget verify history notices --help -h" ;;
    migrate\ status) words="--db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    migrate\ plan) words="--sample --db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --backup-dir --help -h" ;;
    migrate\ run) words="--max-seconds --pause-ms --batch-lock-ms --dry-run --wait --db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --backup-dir --backup-keep --migration-batch-lock-ms --migration-undo-days --migration-pause-ms --migration-window --help -h" ;;
    migrate\ undo) words="--wait --db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --backup-dir --backup-keep --migration-undo-days --migration-window --help -h" ;;
    migrate\ forget) words="--wait --db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --backup-dir --backup-keep --migration-batch-lock-ms --migration-undo-days --migration-window --help -h" ;;
    migrate\ verify) words="--db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    migrate\ history) words="--db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --migration-undo-days --help -h" ;;
    migrate\ notices) words="--dismiss --db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --migration-undo-days --help -h" ;;
    backup) words="create list verify restore --help -h" ;;
    backup\ create) words="--db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --store-backup --backup-dir --help -h" ;;
    backup\ list) words="--json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --store-backup --backup-dir --help -h" ;;
    backup\ verify) words="--json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --store-backup --backup-dir --help -h" ;;
    backup\ restore) words="--db --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --store-backup --backup-dir --help -h" ;;
    store) words="copy --help -h" ;;
    store\ copy) words="--from --to --host --rename --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    sessions) words="list show --help -h" ;;
    sessions\ list) words="--order --limit --json --since --until --model --backend-name --origin --api-key-id --user --user-agent --tag --streamed --not-streamed --outcome --error-category --error-type --error-phase --status --failed --succeeded --trace-id --app --session-id --agent-id --parent-agent-id --session-source --cache-miss-reason --quota-status --from-host --where --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
    sessions\ show) words="--limit --json --config --data-dir --db-path --store --store-password-file --store-ca-file --store-cluster --help -h" ;;
  esac
  _llm_metrics_proxy_words "$words"
}

complete -F _llm_metrics_proxy llm-metrics-proxy llmmp
