function __dlplug_complete
    set -l words (commandline -opc)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    set -l found ($program completion fish $words[2..-1] (commandline -ct) 2>/dev/null)
    or set found (__fish_complete_path (commandline -ct))
    printf '%s\n' $found
end
complete -c dlplug -f -a '(__dlplug_complete)'
