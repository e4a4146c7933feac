# SPDX-License-Identifier: MIT
# fish completion for qcowtool. Each line with __qcowtool_is names the commands that take the option.

function __qcowtool_is --description 'The command on the line is one of these'
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

function __qcowtool_none --description 'No command yet'
    test (count (commandline -opc)) -eq 1
end

function __qcowtool_at --description 'The words of snapshot-cow that are no options number so many'
    __qcowtool_is snapshot-cow; or return 1
    set -l words (commandline -opc | string match -v -- '-*')
    test (count $words) -eq $argv[1]
end

function __qcowtool_snapshots --description 'The names of the snapshots of the image on the line'
    set -l program (commandline -opc)[1]
    for word in (commandline -op)[3..]
        test -f "$word" -o -b "$word"; or continue
        command $program snapshot-cow list --output=json -U -- "$word" 2>/dev/null |
            sed -n '/^ *"name": "\(.*\)",$/{s//\1/;h;s/\\\\["\\\\]//g;/\\\\/d;g;s/\\\\\(["\\\\]\)/\1/g;p}'
        return
    end
end

function __qcowtool_create_options --description 'KEY= behind the last comma'
    set -l before (string match -r -- '^.*,' (commandline -ct | string replace -r '^--options=' ''))
    printf '%s=\n' $before{compat,cluster_size,refcount_bits,compression_type,extended_l2,lazy_refcounts,preallocation,data_file,data_file_raw}
end

complete -c qcowtool -n __qcowtool_none -f
complete -c qcowtool -n __qcowtool_none -a info -d 'Show what an image says about itself'
complete -c qcowtool -n __qcowtool_none -a map -d 'Show what each part of the disk is'
complete -c qcowtool -n __qcowtool_none -a read -d 'Copy bytes out of the disk'
complete -c qcowtool -n __qcowtool_none -a hash -d 'Print a digest of the contents and size'
complete -c qcowtool -n __qcowtool_none -a compare -d 'Tell whether two images show a guest the same'
complete -c qcowtool -n __qcowtool_none -a create -d 'Make a new image'
complete -c qcowtool -n __qcowtool_none -a write -d 'Change bytes of the disk, all of them or none'
complete -c qcowtool -n __qcowtool_none -a rebase -d 'Put an image on another backing file'
complete -c qcowtool -n __qcowtool_none -a snapshot-cow -d 'Internal snapshots'
complete -c qcowtool -n __qcowtool_none -a decompress -d 'Make compressed clusters plain ones'
complete -c qcowtool -n __qcowtool_none -a check -d 'Look for corruption and leaks'
complete -c qcowtool -n __qcowtool_none -a recover -d 'Show and settle an interrupted transaction'
complete -c qcowtool -n __qcowtool_none -s h -l help -d 'List the commands'
complete -c qcowtool -n __qcowtool_none -l version -d 'Print the version'

complete -c qcowtool -n '__qcowtool_is info' -l backing-chain -d 'Also all images below'

complete -c qcowtool -n '__qcowtool_is map' -s s -l start-offset -x -d 'Begin there'
complete -c qcowtool -n '__qcowtool_is map' -s l -l max-length -x -d 'Stop after so many bytes'
complete -c qcowtool -n '__qcowtool_is map' -l svg -r -F -d 'A picture of the file, as SVG'
complete -c qcowtool -n '__qcowtool_is map read hash check' -l snapshot -x -a '(__qcowtool_snapshots)' -d 'As it was then'

complete -c qcowtool -n '__qcowtool_is read' -l at -x -d 'Begin there'
complete -c qcowtool -n '__qcowtool_is read' -l length -x -d 'So many bytes'
complete -c qcowtool -n '__qcowtool_is read' -l hex -d 'A dump with offsets'
complete -c qcowtool -n '__qcowtool_is read' -s o -r -F -d 'To a sparse file'

complete -c qcowtool -n '__qcowtool_is compare' -s f -l format -x -a 'qcow2 raw' -d 'Of the first image'
complete -c qcowtool -n '__qcowtool_is compare' -s F -l other-format -x -a 'qcow2 raw' -d 'Of the second image'
complete -c qcowtool -n '__qcowtool_is compare' -s s -l strict -d 'Sizes and allocation must be the same too'

complete -c qcowtool -n '__qcowtool_is create' -s b -l backing -r -F -d 'The image below'
complete -c qcowtool -n '__qcowtool_is create' -s F -l backing-format -x -a 'qcow2 raw' -d 'Its format'
complete -c qcowtool -n '__qcowtool_is create' -s o -l options -x -a '(__qcowtool_create_options)' -d 'What the image is like'
complete -c qcowtool -n '__qcowtool_is create' -l force -d 'Replace an image'

complete -c qcowtool -n '__qcowtool_is write' -l at -x -d 'Where the next source goes'
complete -c qcowtool -n '__qcowtool_is write' -l hex -x -d 'Bytes in hex'
complete -c qcowtool -n '__qcowtool_is write' -l text -x -d 'The bytes of a string'
complete -c qcowtool -n '__qcowtool_is write' -l file -r -F -d 'The bytes of a file'
complete -c qcowtool -n '__qcowtool_is write' -l fill -x -d 'BYTE:LENGTH'
complete -c qcowtool -n '__qcowtool_is write' -l zero -x -d 'So many zeroes'
complete -c qcowtool -n '__qcowtool_is write' -l discard -x -d 'Give so much space back'
complete -c qcowtool -n '__qcowtool_is write' -l expect -x -d 'Only if these bytes are there'
complete -c qcowtool -n '__qcowtool_is write' -l script -r -F -d 'Take such words from a file'
complete -c qcowtool -n '__qcowtool_is write' -s c -l compress -d 'Store whole clusters compressed'
complete -c qcowtool -n '__qcowtool_is write' -l grow -d 'Let the disk grow'

complete -c qcowtool -n '__qcowtool_is rebase' -s b -l backing -r -F -d 'The new backing file'
complete -c qcowtool -n '__qcowtool_is rebase' -s F -l backing-format -x -a 'qcow2 raw' -d 'Its format'
complete -c qcowtool -n '__qcowtool_is rebase' -s u -l unsafe -d 'Change the name only'
complete -c qcowtool -n '__qcowtool_is rebase' -s c -l compress -d 'Store what is copied in compressed'
complete -c qcowtool -n '__qcowtool_is rebase' -l ignore-snapshots -d 'Copy in for the disk alone'
complete -c qcowtool -n '__qcowtool_is recover' -l finish -d 'A header that makes sense is torn: finish the transaction'
complete -c qcowtool -n '__qcowtool_is recover' -l drop -d 'A header that makes sense is not torn: drop the journal'

complete -c qcowtool -n '__qcowtool_is decompress' -l at -x -d 'Begin there'
complete -c qcowtool -n '__qcowtool_is decompress' -l length -x -d 'So many bytes'
complete -c qcowtool -n '__qcowtool_is decompress' -l batch -x -d 'A transaction for each so many bytes'

complete -c qcowtool -n '__qcowtool_is info map hash compare write rebase snapshot-cow decompress check recover' -l output -x -a 'human json' -d 'How the result is printed'
complete -c qcowtool -n '__qcowtool_is info map read hash compare create write rebase snapshot-cow decompress check recover' -s q -l quiet -d 'Print no result'
complete -c qcowtool -n '__qcowtool_is info map read hash compare create snapshot-cow check recover' -s U -l force-share -d 'Read even while in use'
complete -c qcowtool -n '__qcowtool_is info map read hash compare write rebase recover' -l chain -x -a 'none dir any' -d 'Which backing files may be opened'
complete -c qcowtool -n '__qcowtool_is info map read hash compare create write rebase snapshot-cow decompress check recover' -l no-sandbox -d 'Do not lock the process down'
complete -c qcowtool -n '__qcowtool_is write rebase snapshot-cow decompress check recover' -s n -l dry-run -d 'Do everything but commit'
complete -c qcowtool -n '__qcowtool_is create write rebase snapshot-cow decompress check recover' -l no-sync -d 'Skip every sync'
complete -c qcowtool -n '__qcowtool_is write rebase snapshot-cow decompress' -l trust-refcounts -d 'Skip the walk over all tables'
complete -c qcowtool -n '__qcowtool_is check' -s r -l repair -x -a 'leaks all' -d 'Repair what is found'
complete -c qcowtool -n '__qcowtool_is check' -l deep -d 'Decompress every compressed cluster'
complete -c qcowtool -n '__qcowtool_is read hash compare create write check rebase decompress' -s p -l progress -d 'Show progress even without a terminal'
complete -c qcowtool -n '__qcowtool_is read hash compare decompress check' -s j -l jobs -x -d 'How many threads'
complete -c qcowtool -n '__qcowtool_is info map read hash compare create write rebase snapshot-cow decompress check recover' -s h -l help -d 'Show the options'

complete -c qcowtool -n '__qcowtool_at 2' -f -a 'create list apply delete rename'
complete -c qcowtool -n '__qcowtool_at 4' -f -a '(__qcowtool_snapshots)'
