# Completion of sesame for bash. In ~/.bashrc: source <(sesame completion bash)

_sesame() {
    local line=${COMP_LINE:0:COMP_POINT} word rest last skip=
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    last=${words[${#words[@]} - 1]}
    # Readline replaces what follows the last = or : alone, so the candidates must not repeat what is before it.
    [[ $last == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]] && skip=${last%"${last##*[=:]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r word rest; do
        if [[ $word == :files ]]; then
            compopt -o default 2>/dev/null
            COMPREPLY=()
            return
        fi
        COMPREPLY+=("${word#"$skip"}")
    done < <("${1/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
}

complete -F _sesame sesame
