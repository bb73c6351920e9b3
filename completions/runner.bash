# Completion of `runner` for bash (also read by the one for zsh).
# shellcheck shell=bash

# The names that `runner list KIND` prints: the first word of every line that is not indented.
_runner_names() { "$1" list "$2" 2>/dev/null | sed -n 's/^\([a-z0-9][^[:space:]]*\).*/\1/p'; }

_runner_complete() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[1]:-} words='' files=''
  local common='--threads --device --help'
  COMPREPLY=()

  case $previous in
    --models | --data | --model | --dense | --out | --tables | --figures) files=directories ;;
    --db | --text | --ids | --requests | :) files=all ;;  # `:` as in text:FILE, which bash splits
    --device) words='cpu cuda' ;;
    --format) if [ "$command" = figure ]; then words='files csv gnuplot'; else words='md tex csv'; fi ;;
    --rerun) words='failed all' ;;
    --match) words='block nominal total total_abs' ;;
    --special) words='once window none' ;;
    --ids-type) words='uint16 int32' ;;
    --method) words=$(_runner_names "$program" methods) ;;
    --allocator) words=$(_runner_names "$program" allocators) ;;
    --calibration) words="$(_runner_names "$program" calibrations) text: ids:" ;;
    --protocol)
      if [ "$command" = score ] || [[ " ${COMP_WORDS[*]} " == *" --tasks "* ]]; then words='lmeval-bos lmeval-nobos lmeval-0.3'; else words=$(_runner_names "$program" protocols); fi
      ;;
    --tasks) words=$(_runner_names "$program" tasks) ;;
    --profile) words='bundled paper' ;;
    --set | --samples | --length | --limit | --max-length | --batch-tokens | --ratio | --window | --tokens | --prompt | --threads | --seed | --cell | --baseline | --average | --metric) return ;;
  esac

  if [ -z "$words$files" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then
      words='run table figure stats compress evaluate tokenize score generate inspect list describe show doctor --help --version'
      files=experiments
    else
      case $command in
        table) words="--format --name --profile --models --data --db --set $common" files=experiments ;;
        figure) words="--format --out --profile --db --set $common" files=experiments ;;
        stats) words="--baseline --average --protocol --tasks --metric --cell --profile --set --db --json --csv $common" files=experiments ;;
        compress) words="--model --method --ratio --match --allocator --calibration --samples --length --seed --out --set --data --json $common" ;;
        evaluate) words="--model --text --ids --ids-type --protocol --window --special --dense --tasks --limit --samples --max-length --batch-tokens --dtype --data --json $common" ;;
        tokenize) words="--model --no-special --decode $common" ;;
        score) words="--model --requests --protocol $common" ;;
        generate) words="--model --prompt --tokens $common" ;;
        inspect) words="--json $common" files=directories ;;
        list) words='methods allocators samplers models protocols evaluations tasks calibrations experiments --help' ;;
        describe) words="$(_runner_names "$program" methods) $(_runner_names "$program" allocators) --help" ;;
        show) words='--db --help' ;;
        doctor) words='--models --data --help' ;;
        *) words="--profile --models --data --set --db --tables --figures --dry-run --rerun --fail-fast $common" files=experiments ;;
      esac
    fi
  fi

  local found
  [[ $files != directories || $current == -* ]] || while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -d -- "$current")
  [[ $files != all ]] || while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -f -- "$current")
  if [[ $files == experiments && $current != -* ]]; then
    while IFS= read -r found; do
      if [[ -d $found || $found == *.yaml || $found == *.yml ]]; then COMPREPLY+=("$found"); fi
    done < <(compgen -f -- "$current")
  fi
  while IFS= read -r found; do COMPREPLY+=("$found"); done < <(compgen -W "$words" -- "$current")
  [[ ${COMPREPLY[*]} != text: && ${COMPREPLY[*]} != ids: ]] || compopt -o nospace
}

complete -o filenames -F _runner_complete runner
