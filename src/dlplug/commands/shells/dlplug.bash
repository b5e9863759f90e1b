_dlplug() {
    local IFS=$'\n' found
    found=$("${1/#\~/$HOME}" completion bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null) || compopt -o default
    COMPREPLY=($found)
}
complete -o nosort -F _dlplug dlplug 2>/dev/null || complete -F _dlplug dlplug
