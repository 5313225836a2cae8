#compdef sesame
# Completion of sesame for zsh. In ~/.zshrc, after compinit: source <(sesame completion zsh)

_sesame() {
    local line
    local -a lines described
    lines=("${(@f)$(${~words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $lines[1] == :files* ]]; then
        _files
        return
    fi
    for line in $lines; do
        described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    _describe 'sesame' described
}

if [[ $funcstack[1] == _sesame ]]; then
    _sesame "$@"
else
    compdef _sesame sesame
fi
