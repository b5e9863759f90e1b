#compdef dlplug
_dlplug() {
    local -a found
    local lines
    lines=$(${(Q)words[1]/#\~/$HOME} completion zsh "${(@Q)words[2,CURRENT]}" 2>/dev/null) || { _files; return }
    found=("${(@f)lines}")
    _describe -V dlplug found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _dlplug "$@"; else compdef _dlplug dlplug; fi
