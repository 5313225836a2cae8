# Completion of sesame for fish. In config.fish: sesame completion fish | source

function __sesame_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (eval $words[1] __complete (string escape -- $words[2..-1]) 2>/dev/null)
    if string match -q ':files*' -- "$lines[1]"
        __fish_complete_path (commandline -ct)
    else if set -q lines[1]
        printf '%s\n' $lines
    end
end

complete -c sesame -f -a '(__sesame_complete)'
