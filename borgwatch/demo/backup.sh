#!/bin/sh
# The script that Borg's manual recommends ("Automating backups"), as somebody would have it in their crontab.
# It knows nothing of borgwatch. The demo runs it where Borg is installed; so do the end-to-end tests.
# Environment: BORG_REPO, SOURCES (paths to save, separated by spaces), BORG_OPTIONS (such as --log-json).

info() { printf "\n%s %s\n\n" "$( date )" "$*" >&2; }
trap 'echo $( date ) Backup interrupted >&2; exit 2' INT TERM

info "Starting backup"

borg ${BORG_OPTIONS} --verbose --show-rc --lock-wait 1 create \
    --list --stats                                            \
    "::demo-{now:%H%M%S.%f}" ${SOURCES}

backup_exit=$?

info "Pruning repository"

borg ${BORG_OPTIONS} --show-rc --lock-wait 1 prune --list --keep-daily 7

prune_exit=$?

info "Compacting repository"

borg ${BORG_OPTIONS} --show-rc --lock-wait 1 compact

compact_exit=$?

# use highest exit code as global exit code
global_exit=$(( backup_exit > prune_exit ? backup_exit : prune_exit ))
global_exit=$(( compact_exit > global_exit ? compact_exit : global_exit ))

if [ ${global_exit} -eq 0 ]; then
    info "Backup, Prune, and Compact finished successfully"
elif [ ${global_exit} -eq 1 ]; then
    info "Backup, Prune, and/or Compact finished with warnings"
else
    info "Backup, Prune, and/or Compact finished with errors"
fi

exit ${global_exit}
