-- A table of the user's own, for the first agents that read and write one. Local mode makes it at its very first start;
-- from then on it is the user's to change or drop. `agenthost.demo_user` is the setting with the demo user's id.

create table public.leads (
  id bigint generated always as identity primary key,
  user_id uuid not null default auth.uid(),
  name text not null,
  email text,
  company text,
  score int not null default 0 check (score between 0 and 100),
  created_at timestamptz not null default now()
);
create index leads_user_id_idx on public.leads (user_id);

revoke all on public.leads from public, anon, authenticated;
grant select, insert, update, delete on public.leads to authenticated;
alter table public.leads enable row level security;
create policy leads_select on public.leads for select to authenticated using ((select auth.uid()) = user_id);
create policy leads_insert on public.leads for insert to authenticated with check ((select auth.uid()) = user_id);
create policy leads_update on public.leads for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy leads_delete on public.leads for delete to authenticated using ((select auth.uid()) = user_id);

insert into public.leads (user_id, name, email, company, score, created_at)
select current_setting('agenthost.demo_user')::uuid, name, email, company, score, now() - age
from (values
  ('Ada Quist', 'ada@northwind.example', 'Northwind Ferries', 91, interval '2 hours'),
  ('Bruno Salgado', 'bruno@orchard.example', 'Orchard & Sons', 78, interval '5 hours'),
  ('Chiara Monti', 'chiara@lumen.example', 'Lumen Optics', 84, interval '20 hours'),
  ('Dev Raman', 'dev@tidewater.example', 'Tidewater Labs', 35, interval '1 day'),
  ('Elif Kaya', 'elif@papermill.example', 'Paper Mill 9', 62, interval '3 days'),
  ('Femi Adeyemi', 'femi@brightline.example', 'Brightline Rail', 97, interval '4 days'),
  ('Greta Holm', null, 'Holm Bakery', 12, interval '9 days'),
  ('Hugo Petit', 'hugo@cartographe.example', 'Cartographe', 55, interval '30 days')
) as lead (name, email, company, score, age);
