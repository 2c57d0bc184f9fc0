#!/usr/bin/env bash
# A worker in bash. For each paid order it puts the goods on a shelf, and tells the world of the parcel.
#
#   steplane serve &
#   examples/bash_worker/worker.sh &    (a second one on this machine: worker.sh NAME)
#   steplane send shop/order.paid '{"order": 17}' --wait
#
# Kill it whenever you like, with -9 too, and start it again: a step that was recorded is not done again, and its event is
# sent once. It needs bash 4.2 and the command `steplane`.
set -u

app=shop
function=fulfil
# What an earlier process of this name was given, and did not end, comes again at once. Each process has one of its own.
instance=${1:-fulfil-$HOSTNAME}

# Report until the server has it. 0: it is on disk. 1: the run is not ours any more. 2: the server rejects the report.
report() {
  local status
  until steplane work report "$@" >/dev/null; do
    status=$?
    ((status == 3)) || return "$status"
    sleep 1
  done
}

is_done() {
  [[ ${state[$1]-} == completed ]]
}

# Run a command that may take its time, and tell the server meanwhile that this process is alive.
alive() {
  while sleep 5 && kill -0 $$ && { steplane work report || (($? == 3)); }; do :; done &>/dev/null &
  local keeper=$! status
  "$@"
  status=$?
  kill "$keeper" &>/dev/null
  return "$status"
}

# The body of a step: it prints what the step returns.
put_on_shelf() {
  echo "order $1" >>"${SHELVES:-shelves.txt}" && echo "shelf $(($1 % 10))"
}

# The function: two steps. What ends it early leaves the rest to a later lease of the run, with all that is recorded.
fulfil() {
  local order=${data[order]-} shelf
  # Events come from anybody: nothing of them may get into arithmetic, JSON or a command before it was looked at.
  if [[ ! $order =~ ^[1-9][0-9]{0,8}$ ]]; then
    report --fail BadOrder "an order is a number" --never
    return
  fi
  if is_done 'put#0'; then
    shelf=${output['put#0']}
  elif shelf=$(alive put_on_shelf "$order"); then
    report --step put --text "$shelf" || return
  else
    # The server says whether, and when, the step is tried again: the run comes again with that in its journal.
    report --step put --attempt $((${attempts['put#0']-0} + 1)) --fail NoShelf "order $order" --park put
    return
  fi
  if ! is_done 'announce#0'; then
    local parcel="{\"order\": $order, \"shelf\": \"$shelf\"}"
    report --step announce --send-events "{\"name\": \"shop/parcel.packed\", \"data\": $parcel}" || return
  fi
  report --complete "\"$shelf\""
}

until steplane work register --app "$app" --function "$function" --trigger-event shop/order.paid >/dev/null; do
  (($? == 3)) || exit 1
  sleep 1
done
while true; do
  if work=$(steplane work poll --app "$app" --function "$function" --instance "$instance" --wait 30s --shell); then
    eval "$work"
    [[ -n $STEPLANE_RUN ]] || continue
    "$function_id"
    # A step that is rejected is so whenever it is tried.
    (($? != 2)) || report --fail Rejected "the server rejects a step; the worker's log says why" --never
  else
    sleep 1
  fi
done
