-- _bucket_of: the start of the hour that a moment is in; of the day (UTC), where the rollups have
-- merged their hours.

create function _bucket_of(moment timestamptz, days_until timestamptz)
returns timestamptz
language sql
immutable
return date_bin(
    case
        when _bucket_of.moment < _bucket_of.days_until then interval '1 day'
        else interval '1 hour'
    end,
    _bucket_of.moment,
    '2000-01-01 00:00:00+00'
);

comment on function _bucket_of(timestamptz, timestamptz) is
    'The bucket of the rollups that a moment is in.';
